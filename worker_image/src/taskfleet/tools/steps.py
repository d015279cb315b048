"""One step of a run whose record is durable: of a chunked run, or of an item in a pipeline.

The record (`taskfleet.tools.runs`) says which step is next; a message is only the wake-up for one step. A
step does its work, moves the record on, publishes the next wake-up, and writes that it did. So a crash
anywhere is mended by the redelivery of the message, and a duplicate finds its step done and its successor
published, and ends: there is one line of wake-ups, not two.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from celery.exceptions import Ignore, Reject, Retry

from taskfleet.contract import names
from taskfleet.contract import tools as keys
from taskfleet.errors import UnknownQueue
from taskfleet.logs import logger
from taskfleet.publishing import behalf
from taskfleet.publishing.address import versioned
from taskfleet.routing import asked_queue
from taskfleet.tools import running
from taskfleet.tools.rescheduling import later, spread
from taskfleet.tools.runs import Run, Runs, State

T = TypeVar("T")

_BUSY_SECONDS = 2.0
_PAUSED_SECONDS = 10.0


def queue_of(task: Any) -> str:
    """The logical queue that the application routes the task to."""
    fleet = task.app.taskfleet
    asked = versioned(asked_queue(task), bound_release=fleet.settings.bound_release, releases=fleet.releases)
    return asked.logical


def publish(app: Any, runs: Runs, run: Run, countdown: float = 0.0) -> None:
    """Send the wake-up for the run's next step, to the current release."""
    release = app.taskfleet.releases.current()
    options: dict[str, Any] = {"task_id": f"{run.id}-{run.step}", "countdown": countdown or None}
    try:
        app.send_task(
            run.task, (run.id, run.step), queue=names.versioned_queue(run.queue, release), **options
        )
    except UnknownQueue:
        app.send_task(run.task, (run.id, run.step), queue=run.queue, **options)
    runs.was_published(run.id, run.step)


class Step(ABC):
    """One message of a run."""

    def __init__(
        self, task: Any, runs: Runs, run: str, number: int, *, every: float, lease_seconds: float
    ) -> None:
        self._task, self._runs, self._id, self._number = task, runs, run, number
        self._every, self._lease_seconds = every, lease_seconds

    def take(self) -> None:
        """Do it, unless somebody did; in any case the next one is published.

        That is done when the lease is free: another worker begins with it at once.
        """
        with running.alone(
            self._task,
            keys.limit(keys.CHUNKED, self._id),
            seconds=self._lease_seconds,
            wait_seconds=_BUSY_SECONDS,
        ):
            following = self._following()
        if following is not None:
            self._known(self._publish, following)

    def _following(self) -> Run | None:
        """The run, if the message of its next step is to be published."""
        run = self._known(self._runs.read, self._id)
        if run is None or run.state in (State.CANCELLED, State.DONE):
            logger.info("run %s has ended; step %d has nothing to do", self._id, self._number)
            return None
        if run.state is State.PAUSED:
            later(self._task, spread(_PAUSED_SECONDS))
        if self._number != run.step:  # who did the step may not have come to publishing
            return run if run.published < run.step else None
        self._do(run)
        after = self._known(self._runs.read, run.id)
        return after if after is not None and after.state in (State.RUNNING, State.PAUSED) else None

    @abstractmethod
    def _do(self, run: Run) -> None:
        """Do the work, and move the record on."""

    def _work(self, run: Run, work: Callable[[], T]) -> T:
        """What it returns; what it raises is written into the record."""
        try:
            return work()
        except (Ignore, Reject, Retry):
            raise
        except Exception as error:
            with contextlib.suppress(*running.UNKNOWN):
                self._runs.has_problem(run.id, repr(error))
            raise

    def _known(self, call: Callable[..., T], *args: Any) -> T:
        return running.known(self._task, call, *args, wait_seconds=_BUSY_SECONDS)

    def _publish(self, run: Run) -> None:
        with behalf.giving_back():
            publish(self._task.app, self._runs, run, self._every)
