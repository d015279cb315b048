"""A long run in chunks: one chunk in the queue at a time, so that millions of rows are no flood of tasks.

The record of a run (`taskfleet.tools.runs`) says which step is next; a message is only the wake-up for one
step. A step does its chunk, moves the record on, publishes the next wake-up, and writes that it did. So a
crash anywhere is mended by the redelivery of the message, and a duplicate finds its step done and its
successor published, and ends: there is one line of wake-ups, not two.
"""

from __future__ import annotations

import contextlib
import functools
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from celery import Task
from celery.exceptions import Ignore, Reject, Retry
from redis.exceptions import RedisError

from taskfleet import aws
from taskfleet.brokers.redis import counts
from taskfleet.contract import names
from taskfleet.contract import tools as keys
from taskfleet.errors import TaskfleetError, UnknownQueue
from taskfleet.logs import logger
from taskfleet.publishing import behalf
from taskfleet.publishing.address import versioned
from taskfleet.tools import ranges, running
from taskfleet.tools.leases import Lease
from taskfleet.tools.ranges import Place
from taskfleet.tools.rescheduling import later, spread
from taskfleet.tools.runs import Run, Runs, State

F = TypeVar("F", bound=Callable[..., Any])

LEASE_SECONDS = 30.0
_BUSY_SECONDS = 2.0
_DEEP_SECONDS = 1.0
_PAUSED_SECONDS = 10.0


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
            _Step(task, chunk, run, number, _Options(every, feeds, most_waiting, lease_seconds)).take()

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
    runs.create(run, task.name, queue or _queue(task), over)
    found = runs.read(run)
    if found is None:
        raise TaskfleetError(f"run {run} of {task.name} was not written")
    if ranges.is_empty(found.place):
        runs.advance(found, None)
    elif found.published < found.step and found.state is State.RUNNING:
        publish(task.app, runs, found)
    return run


def _queue(task: Task) -> str:
    """The logical queue that the application routes the task to."""
    fleet, wanted = task.app.taskfleet, getattr(task, "queue", None)
    routed = (
        wanted or task.app.amqp.router.route({}, task.name).get("queue") or task.app.conf.task_default_queue
    )
    name = getattr(routed, "name", routed)
    return versioned(name, bound_release=fleet.settings.bound_release, releases=fleet.releases).logical


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


class _Options(NamedTuple):
    every: float
    feeds: str | None
    most_waiting: int | None
    lease_seconds: float


class _Step:
    """One message of a run."""

    def __init__(
        self,
        task: Any,
        function: Callable[..., Any],
        run: str,
        number: int,
        options: _Options,
    ) -> None:
        self._task, self._function, self._id, self._number = task, function, run, number
        self._options = options
        self._runs = Runs(aws.client("dynamodb"), task.app.taskfleet.settings.environment)

    def take(self) -> None:
        """Do it, unless somebody did; in any case the next one is published."""
        with self._alone():
            run = self._known(self._runs.read, self._id)
            if run is None or run.state in (State.CANCELLED, State.DONE):
                logger.info("chunked run %s has ended; step %d has nothing to do", self._id, self._number)
            elif run.state is State.PAUSED:
                later(self._task, spread(_PAUSED_SECONDS))
            elif self._number == run.step:
                self._do(run)
            elif run.published < run.step:  # who did the step did not come to this
                self._known(self._publish, run)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        leases, key = running.leases(self._task), keys.limit(keys.CHUNKED, self._id)
        lease = running.take(
            self._task,
            leases,
            key,
            most=1,
            seconds=self._options.lease_seconds,
            wait_seconds=_BUSY_SECONDS,
        )
        if not isinstance(lease, Lease):
            later(self._task, spread(_BUSY_SECONDS))
        try:
            with running.renewed(leases, lease, self._options.lease_seconds):
                yield
        finally:
            with contextlib.suppress(*running.UNKNOWN):
                leases.free(lease)

    def _known(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What DynamoDB says; while it says nothing, the step waits."""
        try:
            return call(*args, **kwargs)
        except running.UNKNOWN as error:
            logger.warning("chunked run %s waits at step %d: %r", self._id, self._number, error)
            later(self._task, spread(_BUSY_SECONDS))

    def _do(self, run: Run) -> None:
        if self._is_deep():
            later(self._task, spread(_DEEP_SECONDS))
        arguments, planned = ranges.chunk(run.place)
        try:
            returned = self._function(*arguments)
        except (Ignore, Reject, Retry):
            raise
        except Exception as error:
            with contextlib.suppress(*running.UNKNOWN):
                self._runs.has_problem(run.id, repr(error))
            raise
        self._known(self._runs.advance, run, ranges.following(run.place, planned, returned))
        after = self._known(self._runs.read, run.id)
        if after is not None and after.state in (State.RUNNING, State.PAUSED):
            self._known(self._publish, after)

    def _publish(self, run: Run) -> None:
        with behalf.giving_back():
            publish(self._task.app, self._runs, run, self._options.every)

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
