"""The primary broker's password, read when a connection is made, so that it can rotate without a restart."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping

from botocore.exceptions import BotoCoreError, ClientError
from redis.credentials import CredentialProvider

from taskfleet import aws
from taskfleet.contract import environment, names
from taskfleet.per_process import PerProcess

# A rotation keeps the old password valid beside the new one; this long after it nobody uses the old.
KEEP_SECONDS = 30.0


class SecretCredentials(CredentialProvider):
    """User name and password from Secrets Manager. Kept for `KEEP_SECONDS`; fails static.

    Made without arguments by kombu (it is named in the broker's URL), so it takes the environment's
    name from the environment variable itself.
    """

    def __init__(
        self,
        fetch: Callable[[], Mapping[str, str]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch or _from_secrets_manager
        self._clock = clock
        self._locks = PerProcess(threading.Lock)
        self._kept: tuple[str, str] | None = None
        self._until = 0.0

    def get_credentials(self) -> tuple[str, str]:
        """``(username, password)``. Raises what Secrets Manager raised if nothing was read before."""
        kept = self._kept
        if kept is not None and self._clock() < self._until:
            return kept
        with self._locks.get():
            if self._kept is None or self._clock() >= self._until:
                self._renew()
            assert self._kept is not None  # noqa: S101 - _renew set it or raised
            return self._kept

    def _renew(self) -> None:
        try:
            secret = self._fetch()
            self._kept = (secret["username"], secret["password"])
        except (BotoCoreError, ClientError):
            if self._kept is None:
                raise
        self._until = self._clock() + KEEP_SECONDS


def _from_secrets_manager() -> Mapping[str, str]:
    secret_id = names.broker_secret(os.environ[environment.ENVIRONMENT.name])
    answer = aws.client("secretsmanager", aws.PROMPT).get_secret_value(SecretId=secret_id)
    secret: Mapping[str, str] = json.loads(answer["SecretString"])
    return secret


_shared: SecretCredentials | None = None


def shared() -> SecretCredentials:
    """The process's provider: all connections of a process share one answer."""
    global _shared
    if _shared is None:
        _shared = SecretCredentials()
    return _shared
