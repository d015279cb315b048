"""The broker's password: read late, kept briefly, kept longer when Secrets Manager is away."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from botocore.exceptions import EndpointConnectionError
from taskfleet.brokers.credentials import KEEP_SECONDS, SecretCredentials

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
    assert provider.get_credentials() == ("default", "new")


def test_what_was_read_holds_while_it_cannot_be_read_again() -> None:
    secrets = Secrets("old", GONE, "new")
    provider = secrets.provider()
    provider.get_credentials()

    secrets.now += KEEP_SECONDS
    assert provider.get_credentials() == ("default", "old")
    secrets.now += KEEP_SECONDS
    assert provider.get_credentials() == ("default", "new")


def test_without_any_answer_the_error_is_the_callers() -> None:
    with pytest.raises(EndpointConnectionError):
        Secrets(GONE).provider().get_credentials()
