"""The broker's password: read late, kept briefly, kept longer when Secrets Manager is away."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from botocore.exceptions import EndpointConnectionError
from redis.exceptions import ConnectionError as RedisConnectionError
from taskfleet.brokers.credentials import KEEP_SECONDS, SecretCredentials
from taskfleet.publishing.brokers import may_have_taken

from tests.support.processes import wait_for

GONE = EndpointConnectionError(endpoint_url="https://secretsmanager")


class Secrets:
    """Answers one after the other; an exception is raised."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.now = 0.0

    def fetch(self) -> dict[str, str]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"username": "default", "password": answer}

    def provider(self) -> SecretCredentials:
        clock: Callable[[], float] = lambda: self.now  # noqa: E731
        return SecretCredentials(self.fetch, clock)


def test_it_is_asked_for_once_and_again_after_a_while() -> None:
    secrets = Secrets("old", "new")
    provider = secrets.provider()

    assert [provider.get_credentials() for _ in range(3)] == [("default", "old")] * 3
    secrets.now += KEEP_SECONDS
    assert provider.get_credentials() == ("default", "old"), "nobody waits for the new one"
    wait_for(lambda: provider.get_credentials() == ("default", "new"), what="the new password")


def test_what_was_read_holds_while_it_cannot_be_read_again() -> None:
    secrets = Secrets("old", GONE, "new")
    provider = secrets.provider()
    provider.get_credentials()

    secrets.now += KEEP_SECONDS
    assert provider.get_credentials() == ("default", "old")
    wait_for(lambda: not provider._locks.get().locked(), what="the failed look")
    assert provider.get_credentials() == ("default", "old")
    secrets.now += KEEP_SECONDS
    wait_for(lambda: provider.get_credentials() == ("default", "new"), what="the new password")


def test_a_slow_answer_keeps_nobody_but_the_first() -> None:
    asked, answer = threading.Event(), threading.Event()
    answers = iter(["old", "new"])
    now = [0.0]

    def fetch() -> dict[str, str]:
        if now[0]:
            asked.set()
            answer.wait(10)
        return {"username": "default", "password": next(answers)}

    provider = SecretCredentials(fetch, lambda: now[0])
    provider.get_credentials()
    now[0] = KEEP_SECONDS

    assert [provider.get_credentials() for _ in range(3)] == [("default", "old")] * 3
    assert asked.wait(10)
    answer.set()
    wait_for(lambda: provider.get_credentials() == ("default", "new"), what="the new password")


def test_without_any_answer_it_is_a_fault_of_the_connection_and_nothing_was_sent() -> None:
    with pytest.raises(RedisConnectionError) as raised:
        Secrets(GONE).provider().get_credentials()

    assert not may_have_taken(raised.value)
