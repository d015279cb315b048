"""Whether a broker that did not say yes may have the message: when in doubt, it may."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError
from kombu.exceptions import LimitExceeded, OperationalError
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
)
from taskfleet.publishing.breaker import Breaker, State
from taskfleet.publishing.probe import Probe
from taskfleet.publishing.refusal import may_have_taken

from tests.support.processes import wait_for


def aws_error(status: int) -> ClientError:
    return ClientError({"Error": {}, "ResponseMetadata": {"HTTPStatusCode": status}}, "SendMessage")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("error", "may_have"),
    [
        # Redis
        (ConnectionError("Error 111 connecting to localhost:6379. Connection refused."), False),
        (TimeoutError("Timeout connecting to server"), False),
        (TimeoutError("Timeout reading from socket"), True),
        (ConnectionError("Connection closed by server."), True),
        (ConnectionResetError(104, "reset"), True),
        (OutOfMemoryError("command not allowed"), False),
        (BusyLoadingError("Redis is loading the dataset in memory"), False),
        (AuthenticationError("WRONGPASS"), False),
        (ResponseError("NOREPLICAS Not enough good replicas to write."), False),
        (NoPermissionError("this user has no permissions"), False),
        (ReadOnlyError("a replica"), False),
        (OperationalError("no connection"), False),
        # SQS
        (aws_error(403), False),
        (aws_error(503), True),
        (ReadTimeoutError(endpoint_url="https://sqs"), True),
        (EndpointConnectionError(endpoint_url="https://sqs"), False),
        (NoCredentialsError(), False),
    ],
    ids=repr,
)
def test_may_have_taken(error: Exception, may_have: bool) -> None:
    assert may_have_taken(error) is may_have


def test_a_probe_that_fails_in_an_unknown_way_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """If its thread ended, the breaker would stay open for the life of the process."""
    monkeypatch.setattr("taskfleet.publishing.probe.PROBE_SECONDS", 0.01)
    answers: list[Callable[[], bool]] = [lambda: True, _broken, _broken]
    breaker = Breaker()
    for _ in range(Breaker.FAILURES_TO_OPEN):
        breaker.failed()

    Probe(breaker, lambda: answers.pop()()).start()

    wait_for(lambda: breaker.state is State.HALF_OPEN, what="the third answer")
    assert not answers


def _broken() -> bool:
    raise LimitExceeded(10)
