"""What a worker holds stays its own through single failures of SQS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from taskfleet.brokers.sqs.leases import Leases

from tests.brokers.http_faults import FaultySqs
from tests.support.ministack import MiniStack
from tests.support.processes import wait_for

# A round every four seconds.
LEASE_SECONDS = 12
EXTENSION = "ChangeMessageVisibilityBatch"


@pytest.fixture
def leases(faults: FaultySqs) -> Iterator[Leases]:
    """The leases of a worker behind that door."""
    config = Config(retries={"total_max_attempts": 1})
    made = Leases(
        lambda: boto3.client("sqs", endpoint_url=f"http://127.0.0.1:{faults.port}", config=config),
        lease_seconds=LEASE_SECONDS,
    )
    yield made
    made.close()


@pytest.fixture
def receive(aws: MiniStack, leases: Leases) -> Callable[[], None]:
    """Have the leases hold the one message of a new queue."""
    sqs = aws.client("sqs")

    def one() -> None:
        url = sqs.create_queue(QueueName=f"tests-{uuid4().hex[:8]}")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="held")
        [message] = sqs.receive_message(QueueUrl=url, VisibilityTimeout=LEASE_SECONDS)["Messages"]
        leases.hold(message["ReceiptHandle"], url)

    return one


def _extensions(faults: FaultySqs) -> int:
    return sum(EXTENSION in target for target in list(faults.targets))


@pytest.mark.parametrize("fault", ["503", "reset"])
def test_an_extension_that_failed_is_tried_again_before_the_next_round(
    fault: str, faults: FaultySqs, leases: Leases, receive: Callable[[], None]
) -> None:
    receive()
    faults.fail(fault, operation=EXTENSION)
    wait_for(lambda: faults.hits, what="an extension that failed")
    failed = time.monotonic()

    wait_for(lambda: _extensions(faults) == 2, what="the second try")

    assert time.monotonic() - failed < 3


def test_one_queue_that_fails_costs_no_other_its_extension(
    faults: FaultySqs, leases: Leases, receive: Callable[[], None]
) -> None:
    receive()
    receive()
    faults.fail("403", operation=EXTENSION)
    wait_for(lambda: faults.hits, what="an extension that failed")

    wait_for(lambda: _extensions(faults) == 2, seconds=1, what="the other queue's, in the same round")


class _Throttled:
    """SQS's reply to a batch, an entry of which it could not do; no emulator gives it."""

    def __init__(self, *, sender_fault: bool) -> None:
        self._failed = {"Id": "0", "SenderFault": sender_fault, "Code": "InternalError"}
        self.called_at: list[float] = []

    def change_message_visibility_batch(self, **_request: Any) -> dict[str, Any]:
        self.called_at.append(time.monotonic())
        return {"Failed": [self._failed]}


@pytest.mark.parametrize(("sender_fault", "tries"), [(False, 2), (True, 1)])
def test_an_entry_that_failed_within_a_batch_is_tried_again_if_that_can_help(
    sender_fault: bool, tries: int
) -> None:
    client = _Throttled(sender_fault=sender_fault)
    leases = Leases(lambda: client, lease_seconds=LEASE_SECONDS)
    leases.hold("handle", "queue")
    wait_for(lambda: client.called_at, what="the first extension")
    time.sleep(3)

    assert len(client.called_at) == tries
    leases.close()
