"""The SQS transport as kombu's own API shows it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from kombu import Connection, Queue
from taskfleet.brokers import FALLBACK_TRANSPORT
from taskfleet.brokers.sqs.leases import Leases

from tests.support.ministack import MiniStack

OPTIONS = {"region": "us-east-1", "wait_time_seconds": 1}


@pytest.fixture
def url(aws_environment: MiniStack) -> str:
    """Of a queue of the test's own."""
    made = aws_environment.client("sqs").create_queue(QueueName=f"tests-{uuid4().hex[:8]}")
    return str(made["QueueUrl"])


@pytest.mark.parametrize(
    "body", ["[" * 3000, '{"properties": {"delivery_info": {"__type__": "decimal", "__value__": "x"}}}']
)
def test_what_kombu_does_not_expect_to_read_is_delivered_as_it_is(
    aws: MiniStack, url: str, body: str
) -> None:
    aws.client("sqs").send_message(QueueUrl=url, MessageBody=body)
    with Connection("sqs://", transport=FALLBACK_TRANSPORT, transport_options=OPTIONS) as connection:
        message = Queue(url.rpartition("/")[2])(connection.default_channel).get()
        assert message.body == body.encode()
        message.ack()


def test_giving_many_back_needs_one_client(aws: MiniStack, url: str) -> None:
    sqs = aws.client("sqs")
    for _ in range(5):
        sqs.send_message(QueueUrl=url, MessageBody="{}")
    clients: list[Any] = []

    def make_client() -> Any:
        clients.append(aws.client("sqs"))
        return clients[-1]

    leases = Leases(make_client, lease_seconds=60)
    for _ in range(5):
        [message] = sqs.receive_message(QueueUrl=url)["Messages"]
        leases.hold(message["ReceiptHandle"], url)
        leases.release([message["ReceiptHandle"]])

    assert len(clients) == 1
    leases.close()
