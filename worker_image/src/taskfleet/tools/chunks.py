"""A long run in chunks: one chunk in the queue at a time, so that millions of rows are no flood of tasks.

Its record is durable, and each message is one step of it (`taskfleet.tools.steps`).
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from celery import Task
from redis.exceptions import RedisError

from taskfleet import aws
from taskfleet.brokers.redis import counts
from taskfleet.contract import names
from taskfleet.errors import TaskfleetError
from taskfleet.logs import logger
from taskfleet.tools import ranges, running
from taskfleet.tools.ranges import Place
from taskfleet.tools.rescheduling import later, spread
from taskfleet.tools.runs import Run, Runs, State
from taskfleet.tools.steps import Step, publish, queue_of

F = TypeVar("F", bound=Callable[..., Any])

LEASE_SECONDS = 30.0
_DEEP_SECONDS = 1.0


def chunked(
    *,
    every: float = 0.0,
    feeds: str | None = None,
    most_waiting: int | None = None,
    lease_seconds: float = LEASE_SECONDS,
) -> Callable[[F], F]:
    """A task that is run chunk by chunk (`start`); put it below ``@app.task``.

    The function gets the bounds of one chunk, or a cursor (`taskfleet.tools.ranges`). ``every`` is the
    seconds from the end of a chunk to the next. With ``feeds``, a queue, a chunk waits while ``most_waiting``
    tasks or more wait there. A chunk may run again after a crash: give what it publishes a task id that is
    made of `taskfleet.idempotency_key`, which is the same for each try of one chunk.

    A chunk that raises is tried again as the task's retries say; then its message is a dead letter, and
    the run goes on when that is redriven. The run is on the current release at each of its steps.
    """
    if every < 0 or lease_seconds < 1 or (feeds is None) != (most_waiting is None) or (most_waiting or 1) < 1:
        raise ValueError(
            "chunked(): every is 0 s or more, a lease 1 s; feeds and most_waiting (1 or more) come together"
        )

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def step(*message: Any) -> None:
            *bound, run, number = message  # the task itself comes first with bind=True
            task = running.task_of_a_message()
            if task is None:
                raise TaskfleetError(
                    f"{function.__qualname__} is chunked: start it with taskfleet.tools.start()"
                )
            chunk = functools.partial(function, *bound)
            _Chunk(task, chunk, run, number, _Options(every, feeds, most_waiting, lease_seconds)).take()

        del step.__wrapped__  # its parameters are not those of the message
        return step  # type: ignore[return-value]

    return decorate


def start(task: Task, over: Place, *, run: str | None = None, queue: str | None = None) -> str:
    """Begin a run of a `chunked` task; its id. With an id that there is already, that run goes on.

    ``over`` is from `taskfleet.tools.ranges`. ``queue`` is the logical queue; the task's own by default.
    """
    run = run or uuid.uuid4().hex
    fleet = task.app.taskfleet
    runs = Runs(aws.client("dynamodb"), fleet.settings.environment)
    runs.create(run, task.name, queue or queue_of(task), over)
    found = runs.read(run)
    if found is None:
        raise TaskfleetError(f"run {run} of {task.name} was not written")
    if ranges.is_empty(found.place):
        runs.advance(found, None)
    elif found.published < found.step and found.state is State.RUNNING:
        publish(task.app, runs, found)
    return run


class _Options(NamedTuple):
    every: float
    feeds: str | None
    most_waiting: int | None
    lease_seconds: float


class _Chunk(Step):
    """One message of a chunked run."""

    def __init__(
        self, task: Any, function: Callable[..., Any], run: str, number: int, options: _Options
    ) -> None:
        runs = Runs(aws.client("dynamodb"), task.app.taskfleet.settings.environment)
        super().__init__(task, runs, run, number, every=options.every, lease_seconds=options.lease_seconds)
        self._function, self._options = function, options

    def _do(self, run: Run) -> None:
        if self._is_deep():
            later(self._task, spread(_DEEP_SECONDS))
        arguments, planned = ranges.chunk(run.place)
        returned = self._work(run, functools.partial(self._function, *arguments))
        self._known(self._runs.advance, run, ranges.following(run.place, planned, returned))

    def _is_deep(self) -> bool:
        feeds, most = self._options.feeds, self._options.most_waiting
        if feeds is None or most is None:
            return False
        queue = names.versioned_queue(feeds, self._task.app.taskfleet.releases.current())
        try:
            return counts.read(running.redis_of(self._task), (queue,))[queue].waiting >= most
        except (RedisError, OSError) as error:
            logger.warning(
                "chunked run %s waits: Redis does not say how deep %s is: %s", self._id, queue, error
            )
            return True
