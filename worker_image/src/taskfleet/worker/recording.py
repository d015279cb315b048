"""Records beside a worker's main loop what may take long; again and again while the backend is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from botocore.exceptions import ClientError
from kombu.exceptions import ContentDisallowed, SerializationError

from taskfleet.logs import logger
from taskfleet.publishing.stored import FailureNotStored, NotStored

# In memory. Beyond, the message of an outcome stays with the broker. The bytes are those of results; they
# come out of what the settings give the main process (``parent_memory_mib``).
ROOM = 1000
ROOM_BYTES = 32 * 1024 * 1024
# One that takes long (an error callback is the team's code, and runs here) holds up none of the others.
THREADS = 4
AGAIN_SECONDS = 5.0
# Each is tried for so long at least, and for ever while there is room.
PATIENCE_SECONDS = 60.0
# As a worker ends. What is not recorded by then is lost, and named in the log.
LAST_SECONDS = 2.0

# A fault of code or of the message: trying again changes nothing.
_PERMANENT = (
    TypeError,
    ValueError,
    LookupError,  # Celery's NotRegistered is one
    AttributeError,
    NotImplementedError,
    SerializationError,
    ContentDisallowed,
)


def is_permanent(error: BaseException) -> bool:
    """Whether the same call would fail again for ever."""
    if isinstance(error, NotStored | FailureNotStored) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, ClientError):
        # DynamoDB's for an item of more than 400 KB
        return bool(error.response.get("Error", {}).get("Code") == "ValidationException")
    # Some errors of a connection are a ValueError, too: ssl.SSLCertVerificationError.
    return not isinstance(error, Exception) or (
        isinstance(error, _PERMANENT) and not isinstance(error, OSError)
    )


@dataclass(eq=False, kw_only=True)
class Outcome:
    """``what`` is recorded, in words; ``instead`` is called once if it never can be.

    ``accepted`` is called when the message that it comes from may be acknowledged. ``size``: about the bytes
    that it keeps in memory.
    """

    what: str
    record: Callable[[], object]
    instead: Callable[[str], object] | None = None
    accepted: Callable[[], object] | None = None
    size: int = 0
    since: float = field(default_factory=time.monotonic)
    due_at: float = 0.0
    tries: int = 0
    held: bool = False  # its message is not acknowledged yet

    def take_accepted(self) -> Callable[[], object] | None:
        """To be called once. It leads to the task's message, which is not kept any longer than that."""
        accepted, self.accepted = self.accepted, None
        return accepted


class Recorder:
    """Those that were never tried come first, so that what fails holds up nothing else."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[Outcome] = []
        self._held: list[Outcome] = []  # in `_waiting`, under way, or ended since the last `step`
        self._under_way: list[Outcome] = []
        self._threads = self._idle = 0

    def add(self, outcome: Outcome) -> None:
        """Record it soon. Raises only what ``accepted`` raises, which is called here if there is room."""
        with self._changed:
            outcome.held = outcome.accepted is not None and not self._has_room()
            accepted = None if outcome.held else outcome.take_accepted()
            self._waiting.append(outcome)
            if outcome.held:
                self._held.append(outcome)
            self._changed.notify()
        self._start_threads()
        if accepted is not None:
            accepted()

    def step(self) -> None:
        """Accept what has ended or has room now; from the main loop, about once a second."""
        self._start_threads()
        with self._changed:
            accepted = []
            for outcome in list(self._held):
                if outcome.held and not self._has_room():
                    continue
                outcome.held = False
                self._held.remove(outcome)
                accepted.append(outcome.take_accepted())
        for accept in accepted:
            if accept is not None:
                accept()

    def close(self) -> None:
        """Record what can be within `LAST_SECONDS`: this process is about to end."""
        end = time.monotonic() + LAST_SECONDS
        with self._changed:
            for outcome in self._waiting:
                outcome.due_at = 0.0
            self._changed.notify_all()
            while (self._waiting or self._under_way) and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            lost = [each for each in (*self._waiting, *self._under_way) if not each.held]
        self.step()
        for outcome in lost:
            logger.error("%s is lost: this worker ends, and the result backend is away", outcome.what)

    def _has_room(self) -> bool:
        kept = [each.size for each in (*self._waiting, *self._under_way) if not each.held]
        return len(kept) < ROOM and sum(kept) < ROOM_BYTES

    def _start_threads(self) -> None:
        with self._changed:
            if not self._waiting or self._idle or self._threads >= THREADS:
                return
            self._threads += 1
        try:
            threading.Thread(target=self._run, name="taskfleet-outcomes", daemon=True).start()
        except RuntimeError as error:  # no thread to be had: `step` tries again
            with self._changed:
                self._threads -= 1
            logger.error("no thread can be started to record outcomes of tasks, trying on: %s", error)

    def _run(self) -> None:
        while True:
            outcome = self._next()
            try:
                outcome.record()
            except BaseException as error:  # noqa: BLE001 - the team's code may exit; this thread goes on
                self._failed(outcome, error)
            else:
                self._ended(outcome)

    def _next(self) -> Outcome:
        with self._changed:
            while True:
                now = time.monotonic()
                due = [each for each in self._waiting if each.due_at <= now]
                if due:
                    first = min(due, key=lambda each: (each.tries, each.due_at))
                    self._waiting.remove(first)
                    self._under_way.append(first)
                    return first
                next_at = min((each.due_at for each in self._waiting), default=now + AGAIN_SECONDS)
                self._idle += 1
                self._changed.wait(next_at - now)
                self._idle -= 1

    def _ended(self, outcome: Outcome) -> None:
        with self._changed:
            outcome.held = False
            self._under_way.remove(outcome)
            self._changed.notify_all()

    def _failed(self, outcome: Outcome, error: BaseException) -> None:
        if is_permanent(error):
            logger.error("%s can't be recorded, now or later: %r", outcome.what, error)
            self._say_instead(outcome, error)
            self._ended(outcome)
            return
        logger.warning("%s can't be recorded yet: %r", outcome.what, error)
        with self._changed:
            outcome.tries, outcome.due_at = outcome.tries + 1, time.monotonic() + AGAIN_SECONDS
            self._under_way.remove(outcome)
            self._waiting.append(outcome)
        self._make_room(error)

    def _say_instead(self, outcome: Outcome, error: BaseException) -> None:
        if outcome.instead is not None:
            try:
                outcome.instead(repr(error))
            except BaseException as another:  # noqa: BLE001 - as above
                logger.error(
                    "%s: that it can't be recorded can't be stored either: %r", outcome.what, another
                )

    def _make_room(self, error: BaseException) -> None:
        """While messages wait for room, give up what has had its time."""
        before = time.monotonic() - PATIENCE_SECONDS
        with self._changed:
            if not self._held:
                return
            old = [each for each in self._waiting if each.tries and each.since <= before]
            for outcome in old:
                self._waiting.remove(outcome)
                outcome.held = False
        for outcome in old:
            logger.error("%s is lost, the result backend has been away for too long: %r", outcome.what, error)
