"""Passwords of the primary broker and of the results' cache, read when a connection is made.

So they can rotate without a restart.

Nobody has to tell a process of another password. One that logs in does so with a password that it read in
the last `FOLLOWED_SECONDS`; one that the broker refuses (WRONGPASS, NOAUTH) reads it anew at once.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping

from botocore.exceptions import BotoCoreError, ClientError
from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as RedisConnectionError

from taskfleet import aws
from taskfleet.cached_read import CachedRead
from taskfleet.contract import environment, names

# Read again beside while it is used after this, and before it is used after twice as long.
KEEP_SECONDS = 30.0
# A rotation keeps the old password valid beside the new one: so long after the secret has the new one nobody
# logs in with the old, unless Secrets Manager did not answer it.
FOLLOWED_SECONDS = 2 * KEEP_SECONDS
# A process reads it no more often than this because the broker refuses it.
REFUSED_SECONDS = 1.0

_UNREADABLE = (BotoCoreError, ClientError, KeyError, ValueError, TimeoutError)


class SecretCredentials(CredentialProvider):
    """User name and password from Secrets Manager. Kept for `KEEP_SECONDS`, and until the next could be read.

    The first time, and where the last read is long ago or the broker refused what it brought, whoever
    connects waits for Secrets Manager, a publish within its deadline; else it is asked beside.

    Made without arguments by kombu (it is named in the broker's URL), so it takes the environment's
    name from the environment variable itself.
    """

    def __init__(
        self,
        fetch: Callable[[], Mapping[str, str]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        of: str = "the broker",
    ) -> None:
        self._fetch = fetch or (lambda: _read_secret(names.broker_secret))
        self._of = of
        self._clock = clock
        self._refused_at = -math.inf
        self._distrusted = False
        self._kept = CachedRead(
            f"the password of {of}",
            self._read,
            keep_seconds=KEEP_SECONDS,
            stale_seconds=FOLLOWED_SECONDS - KEEP_SECONDS,
            clock=clock,
        )

    def begin(self) -> None:
        """Begin to read them: a new process's first publish has little time for it when it connects."""
        self._kept.begin()

    def get_credentials(self) -> tuple[str, str]:
        """``(username, password)``. Raises redis-py's ``ConnectionError`` if none was ever read."""
        try:
            return self._trusted() if self._distrusted else self._kept.get()
        except _UNREADABLE as error:
            # A fault of the connection, for whoever publishes or consumes: it is tried again as those are.
            raise RedisConnectionError(
                f"Error connecting to {self._of}: its password can't be read: {error}"
            ) from error

    def _trusted(self) -> tuple[str, str]:
        try:
            found = self._kept.fresh()
        except _UNREADABLE:
            return self._kept.get()  # refused or not, there is no other
        self._distrusted = False
        return found

    def refused(self) -> None:
        """The broker does not take what it was given: whoever connects next waits for what holds now."""
        now = self._clock()
        if now - self._refused_at >= REFUSED_SECONDS:
            self._refused_at = now
            self._kept.expire()
            self._distrusted = True

    def _read(self) -> tuple[str, str]:
        secret = self._fetch()
        return secret["username"], secret["password"]


def _read_secret(name: Callable[[str], str]) -> Mapping[str, str]:
    secret_id = name(os.environ[environment.ENVIRONMENT.name])
    answer = aws.client("secretsmanager", aws.PROMPT).get_secret_value(SecretId=secret_id)
    secret: Mapping[str, str] = json.loads(answer["SecretString"])
    return secret


_shared: SecretCredentials | None = None
_results: SecretCredentials | None = None


def shared() -> SecretCredentials:
    """The process's provider for the broker: all connections of a process share one answer."""
    global _shared
    if _shared is None:
        _shared = SecretCredentials()
    return _shared


def results() -> SecretCredentials:
    """The same for the results' cache; Celery calls it, by its name in the backend's URL."""
    global _results
    if _results is None:
        _results = SecretCredentials(lambda: _read_secret(names.results_secret), of="the results' cache")
    return _results
