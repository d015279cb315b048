"""Each run's wait, run time and end, counted where Celery hears of them: in the worker's main process."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import Ignore, Reject, Retry
from celery.worker.request import Request
from kombu.utils.imports import symbol_by_name

from taskfleet.contract import figures, limits
from taskfleet.logs import logger
from taskfleet.publishing.stored import FailureNotStored, NotStored
from taskfleet.worker import waited
from taskfleet.worker.tally import Tally, measured

# A child's memory is looked at so seldom of each task name: reading it costs as much as all the rest here.
MEMORY_EVERY_SECONDS = 1.0
_GIB = 1024**3
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Meter:
    """What all requests of a worker share."""

    def __init__(self, settings: Any) -> None:
        self.tally = Tally()
        self._settings = settings
        self._known = dict(zip(settings.versioned_queues, settings.queues, strict=True))
        self._in_children = settings.execution == "prefork"
        self._memory_at: dict[str, float] = {}

    def queue(self, delivery: Any) -> str:
        """The logical queue that a delivery came from."""
        known = self._known.get(delivery.get("routing_key")) if isinstance(delivery, dict) else None
        return known or str(self._settings.logical_queue(delivery))

    def memory_gib(self, task: str, pid: int | None) -> float | None:
        """Of the child that ran the task; None where there is none, or it was looked at a moment ago."""
        now = time.monotonic()
        soon = now - self._memory_at.get(task, float("-inf")) < MEMORY_EVERY_SECONDS
        if soon or pid is None or not self._in_children:
            return None
        self._memory_at[task] = now  # by the names of the application's own tasks: there are only so many
        return _resident_gib(pid)


def measure(task: Any, meter: Meter) -> None:
    """Have the requests of this task counted."""
    request = symbol_by_name(task.Request)
    if not issubclass(request, Measured):
        task.Request = type(request.__name__, (Measured, request), {"fleet_meter": meter})


class Measured(Request):  # type: ignore[misc]
    """Comes before a task's own request class, and before the one that keeps failures."""

    fleet_meter: Meter
    _began: float | None = None  # by the monotonic clock, which all processes of a machine share
    _ran: float | None = None
    _waited: waited.Waited = waited.UNKNOWN
    _counted = False  # Celery may report an end twice

    def __init_subclass__(cls, **options: Any) -> None:
        # Celery makes a class of its own for each task (`create_request_cls`), whose `on_success` calls no
        # other; and it is what every end comes to first that a child reports.
        super().__init_subclass__(**options)
        stock = cls.__dict__.get("on_success")
        if stock is None:
            return

        @functools.wraps(stock)
        def on_success(self: Measured, ended: Any, **kwargs: Any) -> Any:
            failed, _, self._ran = ended
            if not failed:
                self._count(figures.SUCCEEDED)
            return stock(self, ended, **kwargs)

        cls.on_success = on_success

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Celery's: a process, a thread or a greenlet begins to run it."""
        super().on_accepted(pid, time_accepted)
        self._began = time_accepted
        self._waited = waited.of(self._message, began=time_accepted, began_at=self.time_start)

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        """Celery's, for all that is not a success."""
        self._count_error(_unwrapped(exc_info.exception))
        return super().on_failure(exc_info, *args, **kwargs)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Celery's. Of a soft limit the task itself hears."""
        if not soft:
            self._count_error(TimeLimitExceeded(timeout))
        super().on_timeout(soft, timeout)

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        self._count(figures.EXPIRED if expired else figures.REVOKED)
        super()._announce_revoked(reason, terminated, signum, expired)

    def _count_error(self, error: BaseException) -> None:
        if isinstance(error, Terminated):
            # Stopped by us as the connection was lost: another worker has the message.
            self._count(figures.LOST if self._already_cancelled else figures.REVOKED)
        elif isinstance(error, NotStored):
            self._count(figures.SUCCEEDED)  # its result is another matter
        elif isinstance(error, Ignore):
            self._count(figures.IGNORED)
        else:
            outcome, cause = _outcome(error)
            self._count(outcome, f"{figures.EXCEPTION}:{type(cause).__name__}")

    def _count(self, outcome: str, *more: str) -> None:
        if self._counted:
            return
        self._counted = True
        try:
            said = [(f"{figures.OUTCOME}:{outcome}", 1), *((figure, 1) for figure in more)]
            queue = self.fleet_meter.queue(self._message.delivery_info)
            self.fleet_meter.tally.add(queue, self._task.name, [*said, *self._times()])
        except Exception:  # noqa: BLE001 - whatever it is, the message's end must not fail with it
            logger.exception("the end of task %s could not be counted", self.id)

    def _times(self) -> Iterator[tuple[str, int]]:
        if self._began is None:
            return
        ran = time.monotonic() - self._began if self._ran is None else self._ran
        yield from measured(figures.RUNTIME, ran)
        if self._waited.seconds is None:
            yield figures.UNKNOWN_WAIT, 1
        else:
            yield from measured(f"{figures.WAIT}:{_priority(self._delivery_info)}", self._waited.seconds)
            if self._waited.unsure:
                yield figures.UNSURE_WAIT, 1
        memory = self.fleet_meter.memory_gib(self._task.name, self.worker_pid)
        if memory is not None:
            yield from measured(figures.MEMORY, memory)


def _outcome(error: BaseException) -> tuple[str, BaseException]:
    """How a run ended, and by what."""
    if isinstance(error, Retry):
        return figures.RETRIED, _unwrapped(error.exc) if isinstance(error.exc, BaseException) else error
    if isinstance(error, Reject):
        return figures.REJECTED, error.reason if isinstance(error.reason, BaseException) else error
    if isinstance(error, WorkerLostError | SystemExit | KeyboardInterrupt):
        return figures.LOST, error
    return figures.FAILED, error.error if isinstance(error, FailureNotStored) else error


def _unwrapped(error: BaseException) -> BaseException:
    return error.exc if isinstance(error, ExceptionWithTraceback) else error


def _priority(delivery: Any) -> int:
    """The priority that Redis serves it with: several are one."""
    asked = delivery.get("priority")
    known = asked if isinstance(asked, int) else 0
    return max((step for step in limits.REDIS_PRIORITY_STEPS if step <= known), default=0)


def _resident_gib(pid: int) -> float | None:
    try:
        with open(f"/proc/{pid}/statm") as said:
            return int(said.read().split()[1]) * _PAGE_BYTES / _GIB
    except (OSError, ValueError, IndexError):
        return None  # it has ended, or this is no Linux
