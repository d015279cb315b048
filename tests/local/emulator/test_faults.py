"""One service of the account fails on purpose."""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.local.emulator.account import Account


@pytest.fixture
def failing(account: Account) -> Iterator[Account]:
    yield account
    account.local("PUT", "/_local/faults", {"service": "sqs", "fault": "pass"})


@pytest.mark.parametrize(("fault", "code"), [("error", "ServiceUnavailable"), ("deny", "AccessDenied")])
def test_sqs_fails_and_the_others_answer(failing: Account, fault: str, code: str) -> None:
    failing.local("PUT", "/_local/faults", {"service": "sqs", "fault": fault})

    with pytest.raises(ClientError, match=code):
        failing.client("sqs").list_queues()
    assert failing.client("sns").list_topics()["Topics"] is not None


def test_what_hung_arrives_after_healing(failing: Account) -> None:
    sqs = failing.client("sqs")
    url = sqs.create_queue(QueueName="late")["QueueUrl"]
    failing.local("PUT", "/_local/faults", {"service": "sqs", "fault": "hang"})
    impatient = sqs.meta.config.merge(Config(read_timeout=0.5, retries={"total_max_attempts": 1}))

    with pytest.raises(ReadTimeoutError):
        failing.client("sqs", impatient).send_message(QueueUrl=url, MessageBody="late")
    failing.local("PUT", "/_local/faults", {"service": "sqs", "fault": "pass"})

    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    assert message["Body"] == "late"


def test_a_limit_throttles_what_is_too_much_in_a_second(failing: Account) -> None:
    once = failing.client("sqs").meta.config.merge(Config(retries={"total_max_attempts": 1}))
    sqs, refused = failing.client("sqs", once), 0
    failing.local("PUT", "/_local/faults", {"service": "sqs", "fault": "limit", "per_second": 2})

    for _ in range(12):  # more than two for each of the seconds that they could take here
        try:
            sqs.list_queues()
        except sqs.exceptions.ClientError as error:
            refused += error.response["Error"]["Code"] == "ThrottlingException"

    assert 0 < refused < 12
    assert failing.local("GET", "/_local/faults")["sqs"] == refused


def test_a_fault_that_is_not_known_is_refused(failing: Account) -> None:
    with pytest.raises(urllib.error.HTTPError):
        failing.local("PUT", "/_local/faults", {"service": "sqs", "fault": "tired"})
