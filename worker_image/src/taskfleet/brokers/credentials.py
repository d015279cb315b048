"""The primary broker's password, read when a connection is made, so that it can rotate without a restart."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping

from botocore.exceptions import BotoCoreError, ClientError
from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as RedisConnectionError

from taskfleet import aws
from taskfleet.contract import environment, names
from taskfleet.per_process import PerProcess

logger = logging.getLogger(__name__)

# A rotation keeps the old password valid beside the new one; this long after it nobody uses the old.
KEEP_SECONDS = 30.0

_UNREADABLE = (BotoCoreError, ClientError, KeyError, ValueError)


class SecretCredentials(CredentialProvider):
    """User name and password from Secrets Manager. Kept for `KEEP_SECONDS`, and until the next could be read.

    Only the first time anybody waits for Secrets Manager: later it is asked beside, since a publish that
    reconnects has no time for it.

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
        """``(username, password)``. Raises redis-py's ``ConnectionError`` if none was ever read."""
        lock, kept = self._locks.get(), self._kept
        if kept is None:
            with lock:
                return self._kept or self._first()
        if self._clock() >= self._until and lock.acquire(blocking=False):
            threading.Thread(target=self._renew, args=(lock,), name="taskfleet-secret", daemon=True).start()
        return kept

    def _first(self) -> tuple[str, str]:
        try:
            return self._read()
        except _UNREADABLE as error:
            # A fault of the connection, for whoever publishes or consumes: it is tried again as those are.
            raise RedisConnectionError(
                f"Error connecting to the broker: its password can't be read: {error}"
            ) from error

    def _renew(self, lock: threading.Lock) -> None:
        try:
            self._read()
        except _UNREADABLE as error:
            self._until = self._clock() + KEEP_SECONDS
            logger.warning("the broker's password can't be read again, the known one holds: %s", error)
        finally:
            lock.release()

    def _read(self) -> tuple[str, str]:
        secret = self._fetch()
        self._kept = (secret["username"], secret["password"])
        self._until = self._clock() + KEEP_SECONDS
        return self._kept


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
