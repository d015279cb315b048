"""A worker of a release that is rolled, beside workers of another build on the same queues.

At its start it makes sure that its build takes every call that the build before takes, or it ends: ECS then
goes back to the build before. While both run, an old worker gives back what
only the new build can run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from celery import Celery
from kombu.message import Message

from taskfleet import aws, signatures
from taskfleet.contract import names, parameters
from taskfleet.contract import state as keys
from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.dead_letters.dead_letter import DeadLetterKind, Finding
from taskfleet.errors import EX_CONFIG
from taskfleet.logs import logger
from taskfleet.publishing.parameters import Parameters
from taskfleet.releases import builds
from taskfleet.releases.builds import Build, Refused
from taskfleet.settings import WorkerSettings
from taskfleet.worker.alone import counts_receipts

_AWS = (BotoCoreError, ClientError)
# A deploy is under way for at most so long after a worker of its build has started.
ROLLS_SECONDS = 1800.0
_KEEP_SECONDS = 10.0
# One that is given back is not fetched again at once by the same worker.
GIVE_BACK_SECONDS = 1.0


def admit(app: Celery, settings: WorkerSettings) -> None:
    """Ends this process if its build breaks calls that may be in the queues."""
    build = settings.build
    if build is None:
        return
    try:
        before = builds.read(_dynamodb(), _table(settings), keys.signatures(settings.release))
    except _AWS as error:
        if not _is_deployed(settings, build):
            sys.exit(_says(f"build {build} can't be compared with the one before it: {error}"))
        logger.warning("the state table can't be read, and build %s is deployed already: %s", build, error)
        return
    if before is not None and before.build == build:
        return
    found = signatures.breaks(before.tasks, signatures.of(app)) if before else []
    refused = [one for one in found if one.task not in settings.accepted_breaks]
    if before is not None and refused:
        _refuse(settings, build, before, tuple(map(str, refused)))
    for one in found:
        logger.warning("build %s breaks calls of the build before, as accepted: %s", build, one)
    leave(app, settings)


def leave(app: Celery, settings: WorkerSettings) -> None:
    """Let old workers know what this build takes, and the controller, what each later one must take.

    Errors of AWS pass through.
    """
    if settings.build is not None:
        own = Build(settings.build, time.time(), signatures.of(app))
        builds.write(_dynamodb(), _table(settings), keys.newest_signatures(settings.release), own)


def _refuse(settings: WorkerSettings, build: str, before: Build, breaks: tuple[str, ...]) -> None:
    for one in breaks:
        logger.error("build %s is refused: %s", build, one)
    try:
        refused = Refused(build, time.time(), breaks)
        builds.write_refused(_dynamodb(), _table(settings), settings.release, refused)
    except _AWS as error:
        logger.error("the refusal can't be written down: %s", error)
    sys.exit(
        _says(f"build {build} does not take {len(breaks)} of what calls of build {before.build} may pass")
    )


def _says(problem: str) -> int:
    logger.error("%s: this worker does not start", problem)
    return EX_CONFIG


def _is_deployed(settings: WorkerSettings, build: str) -> bool:
    """Whether the release's stack has this build already: then it is no deploy that starts this worker."""
    name = parameters.release_manifest(settings.environment, settings.release)
    try:
        (text,) = Parameters(settings.environment)(name)
        return text is not None and ReleaseManifest.from_json(text).build == build
    except (OSError, ValueError):
        return False


class Newer:
    """What a consumer gives back, since a newer build takes it. Used by the main loop only."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._newest: Build | None = None
        self._asked_at = float("-inf")
        self._held: list[tuple[float, Message]] = []
        self._said: set[str] = set()

    def takes(self, message: Message, finding: Finding) -> bool:
        """Whether this worker can't run it, a newer build can, and it goes back to its queue in a moment.

        Not one of SQS: there each time that it is received counts against it.
        """
        of_another = finding.kind in (DeadLetterKind.UNKNOWN_TASK, DeadLetterKind.BAD_ARGUMENTS)
        if self._settings.build is None or not of_another or counts_receipts(message):
            return False
        newest = self._known()
        if newest is None or newest.build == self._settings.build or not _runs(newest, message):
            return False
        self._say(f"build {newest.build} takes it: {finding.reason}")
        self._held.append((time.monotonic() + GIVE_BACK_SECONDS, message))
        return True

    def _say(self, why: str) -> None:
        """Once: there may be many for minutes."""
        if why not in self._said:
            self._said.add(why)
            logger.info("a message goes back to its queue, and each that is like it: %s", why)

    def step(self) -> None:
        """Give back what was held for long enough. About once a second."""
        due = [message for at, message in self._held if at <= time.monotonic()]
        self._held = [each for each in self._held if each[1] not in due]
        for message in due:
            message.channel.put_back(message.delivery_tag)

    def forget(self) -> None:
        """The connection is gone, and its messages with it."""
        self._held.clear()

    def _known(self) -> Build | None:
        if time.monotonic() - self._asked_at > _KEEP_SECONDS:
            self._asked_at = time.monotonic()
            key = keys.newest_signatures(self._settings.release)
            try:
                self._newest = builds.read(aws.client("dynamodb", aws.PROMPT), _table(self._settings), key)
            except (*_AWS, ValueError) as error:
                logger.warning("whether a newer build is being deployed can't be read: %s", error)
        fresh = self._newest is not None and time.time() - self._newest.at < ROLLS_SECONDS
        return self._newest if fresh else None


def _runs(build: Build, message: Message) -> bool:
    payload = message.payload
    if not isinstance(payload, list | tuple) or len(payload) != 3:
        return False
    args, kwargs = payload[0], payload[1]
    if not isinstance(args, list | tuple) or not isinstance(kwargs, Mapping):
        return False
    return signatures.takes(build.tasks, message.headers.get("task", ""), args, kwargs)


def _dynamodb() -> Any:
    return aws.client("dynamodb")


def _table(settings: WorkerSettings) -> str:
    return names.state_table(settings.environment)
