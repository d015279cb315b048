"""Which release a publish goes to, and which queues that release has.

The pointer is read at most every 5 s and fails static: if it can't be read, what was read last holds.
A manifest never changes, so one that was read is kept.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from taskfleet import aws
from taskfleet.contract import parameters
from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.errors import PointerUnknown
from taskfleet.per_process import PerProcess

logger = logging.getLogger(__name__)

KEEP_SECONDS = 5.0

# Reads one SSM parameter; None if it does not exist. Raises OSError if SSM does not answer.
Read = Callable[[str], str | None]


def read_parameter(name: str) -> str | None:
    """Read an SSM parameter within about a second."""
    try:
        value: str = aws.client("ssm", aws.PROMPT).get_parameter(Name=name)["Parameter"]["Value"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ParameterNotFound":
            return None
        raise OSError(f"SSM refused to give {name}: {error}") from error
    except BotoCoreError as error:
        raise OSError(f"SSM did not answer for {name}: {error}") from error
    return value


class _Manifest(NamedTuple):
    """What a publish needs of it."""

    queues: frozenset[str]
    confirmed: frozenset[str]


class Releases:
    """The current release and the queues of releases, as this process knows them. Safe for threads."""

    def __init__(
        self, environment: str, read: Read = read_parameter, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._environment, self._read, self._clock = environment, read, clock
        self._locks = PerProcess(threading.Lock)
        self._current: str | None = None
        self._until = 0.0
        self._manifests: dict[str, _Manifest] = {}

    def current(self) -> str:
        """The current release. Raises `PointerUnknown` if there is none, or none was ever read."""
        if self._clock() >= self._until:
            # Others go on with what is known while one thread looks; only the first look is waited for.
            lock = self._locks.get()
            if lock.acquire(blocking=self._current is None):
                try:
                    self._look()
                finally:
                    lock.release()
        if self._current is None:
            raise PointerUnknown(
                f"the environment {self._environment!r} has no current release yet: deploy one and "
                "wait for its gate, or set TASKFLEET_PINNED_RELEASE"
            )
        return self._current

    def queues(self, release: str) -> frozenset[str]:
        """The logical queues of a release. Raises `PointerUnknown` if its manifest can't be read."""
        return self._manifest(release).queues

    def confirmed(self, release: str) -> frozenset[str]:
        """Those of them whose publishes wait for a replica. Raises as `queues`."""
        return self._manifest(release).confirmed

    def _manifest(self, release: str) -> _Manifest:
        known = self._manifests.get(release)
        if known is None:
            known = self._manifests[release] = self._read_manifest(release)
        return known

    def _look(self) -> None:
        if self._clock() < self._until:
            return  # another thread looked while this one waited
        try:
            value = self._read(parameters.current_release(self._environment))
        except OSError as error:
            self._until = self._clock() + KEEP_SECONDS
            if self._current is None:
                raise PointerUnknown(f"the current release can't be read: {error}") from error
            return
        # A pointer that vanished is no reason to stop: fail static on that, too.
        if value is not None and value != parameters.NO_RELEASE and self._may_follow(value):
            self._current = value
        self._until = self._clock() + (KEEP_SECONDS if self._current else 0)

    def _may_follow(self, release: str) -> bool:
        """Whether to publish to it: not before its queues are known, while there is another to stay with."""
        if self._current is None:
            return True
        try:
            self._manifest(release)
        except PointerUnknown as error:
            logger.warning("publishing to release %s still: %s", self._current, error)
            return False
        return True

    def _read_manifest(self, release: str) -> _Manifest:
        name = parameters.release_manifest(self._environment, release)
        try:
            text = self._read(name)
        except OSError as error:
            raise PointerUnknown(f"the queues of release {release} can't be read: {error}") from error
        if text is None:
            raise PointerUnknown(f"release {release} is not deployed: there is no parameter {name}")
        try:
            manifest = ReleaseManifest.from_json(text)
        except ValueError as error:
            raise PointerUnknown(f"the queues of release {release} can't be understood: {error}") from error
        return _Manifest(frozenset(manifest.queues), frozenset(manifest.confirmed))
