"""The primary broker's password, read when a connection is made, so that it can rotate without a restart."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping

from botocore.exceptions import BotoCoreError, ClientError
from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as RedisConnectionError

from taskfleet import aws
from taskfleet.contract import environment, names
from taskfleet.kept import Kept

# A rotation keeps the old password valid beside the new one; this long after it nobody uses the old.
KEEP_SECONDS = 30.0

_UNREADABLE = (BotoCoreError, ClientError, KeyError, ValueError, TimeoutError)


class SecretCredentials(CredentialProvider):
    """User name and password from Secrets Manager. Kept for `KEEP_SECONDS`, and until the next could be read.

    Only the first time anybody waits for Secrets Manager, a publish within its deadline: later it is asked
    beside, since a publish that reconnects has no time for it.

    Made without arguments by kombu (it is named in the broker's URL), so it takes the environment's
    name from the environment variable itself.
    """

    def __init__(
        self,
        fetch: Callable[[], Mapping[str, str]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch or _from_secrets_manager
        self._kept = Kept("the broker's password", self._read, keep_seconds=KEEP_SECONDS, clock=clock)

    def begin(self) -> None:
        """Begin to read them: a new process's first publish has little time for it when it connects."""
        self._kept.begin()

    def get_credentials(self) -> tuple[str, str]:
        """``(username, password)``. Raises redis-py's ``ConnectionError`` if none was ever read."""
        try:
            return self._kept.get()
        except _UNREADABLE as error:
            # A fault of the connection, for whoever publishes or consumes: it is tried again as those are.
            raise RedisConnectionError(
                f"Error connecting to the broker: its password can't be read: {error}"
            ) from error

    def _read(self) -> tuple[str, str]:
        secret = self._fetch()
        return secret["username"], secret["password"]


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
