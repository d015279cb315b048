"""The broker's password: read late, kept briefly, kept longer when Secrets Manager is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from botocore.exceptions import EndpointConnectionError
from redis.exceptions import ConnectionError as RedisConnectionError
from taskfleet import deadline
from taskfleet.brokers.credentials import (
    FOLLOWED_SECONDS,
    KEEP_SECONDS,
    REFUSED_SECONDS,
    SecretCredentials,
)
from taskfleet.cached_read import FAILED_SECONDS
from taskfleet.publishing.refusal import may_have_taken

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


def test_a_read_that_was_begun_is_not_waited_for_twice() -> None:
    secrets = Secrets("old")
    provider = secrets.provider()

    provider.begin()
    wait_for(lambda: not secrets.answers, what="the read")
    provider.begin()

    assert provider.get_credentials() == ("default", "old")


def test_what_was_read_holds_while_it_cannot_be_read_again() -> None:
    secrets = Secrets("old", GONE, "new")
    provider = secrets.provider()
    provider.get_credentials()

    secrets.now += KEEP_SECONDS
    assert provider.get_credentials() == ("default", "old")
    wait_for(lambda: not secrets.answers[1:], what="the failed look")
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


def test_threads_that_need_it_at_once_ask_once_even_if_it_cannot_be_read() -> None:
    asked: list[float] = []
    told: list[Exception] = []

    def fetch() -> dict[str, str]:
        asked.append(time.monotonic())
        time.sleep(0.3)
        raise GONE

    provider = SecretCredentials(fetch)

    def get() -> None:
        with pytest.raises(RedisConnectionError) as raised:
            provider.get_credentials()
        told.append(raised.value)

    threads = [threading.Thread(target=get) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    get()

    assert len(asked) == 1
    assert len(told) == 11


def test_it_is_asked_for_again_a_moment_after_it_could_not_be_read() -> None:
    secrets = Secrets(GONE, "new")
    provider = secrets.provider()
    with pytest.raises(RedisConnectionError):
        provider.get_credentials()

    secrets.now += FAILED_SECONDS

    assert provider.get_credentials() == ("default", "new")


def test_a_publish_waits_for_it_no_longer_than_it_has_time() -> None:
    answer = threading.Event()

    def fetch() -> dict[str, str]:
        answer.wait(10)
        return {"username": "default", "password": "late"}

    provider = SecretCredentials(fetch)
    began = time.monotonic()
    with pytest.raises(RedisConnectionError, match="was not read in time"), deadline.within(0.1):
        provider.get_credentials()
    assert time.monotonic() - began < 1

    answer.set()
    assert provider.get_credentials() == ("default", "late")


def test_one_that_was_read_long_ago_is_read_again_before_it_is_used() -> None:
    secrets = Secrets("old", "new")
    provider = secrets.provider()
    provider.get_credentials()

    secrets.now += FOLLOWED_SECONDS + 0.1

    assert provider.get_credentials() == ("default", "new")


def test_one_that_the_broker_refuses_is_read_again_before_the_next_login() -> None:
    secrets = Secrets("old", "new")
    provider = secrets.provider()
    provider.get_credentials()
    secrets.now += REFUSED_SECONDS

    provider.refused()

    assert [provider.get_credentials() for _ in range(2)] == [("default", "new")] * 2


def test_however_often_it_is_refused_it_is_read_once_a_second() -> None:
    secrets = Secrets("old", "old", "new")
    provider = secrets.provider()
    provider.get_credentials()

    for _ in range(5):
        provider.refused()
        assert provider.get_credentials() == ("default", "old")
    assert secrets.answers == ["new"]

    secrets.now += REFUSED_SECONDS
    provider.refused()
    assert provider.get_credentials() == ("default", "new")


def test_a_refused_one_is_tried_on_while_no_other_can_be_read() -> None:
    secrets = Secrets("old", GONE, "new")
    provider = secrets.provider()
    provider.get_credentials()

    provider.refused()
    assert provider.get_credentials() == ("default", "old")

    secrets.now += REFUSED_SECONDS
    provider.refused()
    assert provider.get_credentials() == ("default", "new")
