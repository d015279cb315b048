"""Puts what a worker must not run, or could not, into the dead-letter store, however long that is away."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from celery import Celery

from taskfleet import aws
from taskfleet.dead_letters import writing
from taskfleet.dead_letters.dead_letter import DeadLetter
from taskfleet.dead_letters.store import DeadLetters
from taskfleet.errors import TaskfleetError
from taskfleet.logs import logger
from taskfleet.settings import WorkerSettings
from taskfleet.worker.outcomes import Outcomes

# A try at a store that does not answer stops the worker's main loop for a second, so tries get ever rarer.
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 30.0
# For letters that the store did not take yet: some hundred of the usual size. In memory a message is there
# several times (text, body, arguments), and the worker's main process has 256 MiB for everything.
ROOM_BYTES = 8 * 1024 * 1024
_BYTES_BESIDE_THE_BODY = 16 * 1024
# How long a message for which there is no room may keep a slot from others.
PATIENCE_SECONDS = 60.0
# Of each second, while the store takes what has waited.
STEP_SECONDS = 0.3


class NotParked(TaskfleetError):
    """The store did not take the letter, or was not asked because it took none a moment ago."""


class _Store:
    """The store as this process finds it."""

    _pause = 0.0
    _again_at = 0.0

    def is_away(self) -> bool:
        """Whether it failed so lately that it is not asked yet."""
        return time.monotonic() < self._again_at

    def put(self, settings: WorkerSettings, letter: DeadLetter) -> None:
        if self.is_away():
            raise NotParked("the dead-letter store failed just now, so it is not asked yet")
        try:
            DeadLetters(aws.client("dynamodb", aws.PROMPT), settings.environment).put(letter)
        except (BotoCoreError, ClientError) as error:
            if not self.is_away():  # else another thread has seen it, too
                self._pause = min(max(FIRST_PAUSE_SECONDS, 2 * self._pause), LONGEST_PAUSE_SECONDS)
                self._again_at = time.monotonic() + self._pause
                logger.error("the dead-letter store failed, is asked again in %g s: %s", self._pause, error)
            raise NotParked(f"the dead-letter store failed: {error}") from error
        except Exception as error:
            logger.exception("a dead letter can't be written")
            raise NotParked(f"it can't be written: {error!r}") from error
        self._pause = 0.0


_store = _Store()


def park_text(*, queue: str, payload: bytes, reason: str) -> None:
    """Keep what Redis held in a queue and is no message (the transport's ``on_malformed``)."""
    settings = WorkerSettings.from_environ()
    _store.put(settings, writing.of_text(settings, versioned_queue=queue, payload=payload, reason=reason))


@dataclass(frozen=True)
class _Waiting:
    letter: DeadLetter
    done: Callable[[], object]
    give_back: Callable[[], object]
    held: bool
    raised: bool
    until: float


class Parking:
    """Keeps a consumer's letters: at once or, while the store is away, when it is back.

    Until then their messages stay unacknowledged. As many as there is room for don't count against the
    prefetch, so that good messages go on past them. The others each take a slot for a minute, and are given
    back.
    """

    def __init__(self, consumer: Any, app: Celery) -> None:
        self._consumer = consumer
        self.outcomes = Outcomes(app)
        self._waiting: dict[str, _Waiting] = {}

    def park(
        self,
        letter: DeadLetter,
        *,
        done: Callable[[], object],
        give_back: Callable[[], object],
        held: bool = True,
    ) -> None:
        """Keep a letter, then call ``done``; or ``give_back`` if that took too long.

        ``held`` is whether its message is unacknowledged: if not, the letter is all that is left of it.
        """
        if self._is_kept(letter):
            done()
            return
        full = sum(_bytes(waiting.letter) for waiting in list(self._waiting.values()))
        fits = full + _bytes(letter) <= ROOM_BYTES
        if not fits and not held:
            logger.error("%s can't be parked, and is lost: %s", _name(letter), letter.reason)
            return
        logger.error("%s can't be parked yet: %s", _name(letter), letter.reason)
        self._waiting[letter.id] = _Waiting(
            letter,
            done,
            give_back,
            held,
            raised=fits and held and self._raise_prefetch(),
            until=math.inf if fits else time.monotonic() + PATIENCE_SECONDS,
        )

    def step(self) -> None:
        """Try again what waits; from the main loop, about once a second."""
        end = time.monotonic() + STEP_SECONDS
        for waiting in list(self._waiting.values()):
            if _store.is_away() or time.monotonic() > end:
                break
            # To the end of the line: the others must not wait for one that the store never takes.
            self._waiting[waiting.letter.id] = self._waiting.pop(waiting.letter.id)
            if self._is_kept(waiting.letter):
                self._leave(waiting)
                waiting.done()
        for waiting in list(self._waiting.values()):
            if time.monotonic() >= waiting.until:
                logger.error("%s could not be parked, so it is given back", _name(waiting.letter))
                self._leave(waiting)
                waiting.give_back()

    def forget(self) -> None:
        """The connection is gone: the broker gives its messages to others, and the prefetch begins anew."""
        for waiting in list(self._waiting.values()):
            if waiting.held:
                del self._waiting[waiting.letter.id]

    def _is_kept(self, letter: DeadLetter) -> bool:
        try:
            _store.put(self._consumer.app.taskfleet.settings, letter)
        except NotParked:
            return False
        logger.error("%s is kept as dead letter %s: %s", _name(letter), letter.id, letter.reason)
        return True

    def _raise_prefetch(self) -> bool:
        """As Celery does for ETA tasks. At its upper limit it stays, and then must not be lowered later."""
        before = self._consumer.qos.value
        return bool(self._consumer.qos.increment_eventually() > before)

    def _leave(self, waiting: _Waiting) -> None:
        del self._waiting[waiting.letter.id]
        if waiting.raised:
            self._consumer.qos.decrement_eventually()


def _bytes(letter: DeadLetter) -> int:
    return _BYTES_BESIDE_THE_BODY + len(letter.message.body)


def _name(letter: DeadLetter) -> str:
    return f"task {letter.task_id}" if letter.task_id else "a message"
