"""One at a time, or at most n: over all workers, pools, releases and both brokers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Literal, NoReturn, TypeVar

from celery.exceptions import Ignore

from taskfleet.contract import tools as keys
from taskfleet.errors import TaskfleetError
from taskfleet.logs import logger
from taskfleet.tools import running
from taskfleet.tools.keys import KeyOf
from taskfleet.tools.leases import Lease
from taskfleet.tools.rescheduling import later, spread

F = TypeVar("F", bound=Callable[..., Any])
OnBusy = Literal["wait", "drop", "raise"]

LEASE_SECONDS = 30.0
WAIT_SECONDS = 10.0

_held: ContextVar[Lease | None] = ContextVar("taskfleet_held", default=None)


class Busy(TaskfleetError):
    """As many run as may, and the task was to raise then (``on_busy="raise"``)."""


def single(**options: Any) -> Callable[[F], F]:
    """At most one run at a time; options as `limited`."""
    return limited(1, **options)


def limited(
    most: int,
    *,
    by: Sequence[str] = (),
    name: str | None = None,
    on_busy: OnBusy = "wait",
    wait_seconds: float = WAIT_SECONDS,
    lease_seconds: float = LEASE_SECONDS,
) -> Callable[[F], F]:
    """At most ``most`` runs at a time, over all workers; put it below ``@app.task``.

    ``by`` names arguments: each of their values has a limit of its own. ``name`` shares one limit between
    tasks; by default it is the task's name. ``on_busy``: ``"wait"`` publishes the task again for
    ``wait_seconds`` later (about), ``"drop"`` ends it, ``"raise"`` raises `Busy`, which the task's own
    retries may handle. Who waits longest is not first.

    The slot is freed when the task ends, however it ends. If its process is killed, it is free after
    ``lease_seconds`` and 5 s for clocks that differ. A task that keeps Python from running threads for
    longer than that may lose its slot while it runs: write `fence` along, and refuse an older one.

    While DynamoDB can't be reached nobody knows who runs, so the task waits, whatever ``on_busy`` says.
    """
    if most < 1 or on_busy not in ("wait", "drop", "raise") or lease_seconds < 1 or wait_seconds <= 0:
        raise ValueError(
            f"limited({most}, on_busy={on_busy!r}, wait_seconds={wait_seconds}, "
            f"lease_seconds={lease_seconds}): at least 1 at a time; on_busy is 'wait', 'drop' or 'raise'; "
            "a lease lasts 1 s at least, a wait more than 0 s"
        )

    def decorate(function: F) -> F:
        key_of = KeyOf(function, by)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            task = running.task_of_a_message()
            if task is None:
                return function(*args, **kwargs)
            leases, key = running.leases(task), keys.limit(name or task.name, key_of(args, kwargs))
            lease = running.take(
                task, leases, key, most=most, seconds=lease_seconds, wait_seconds=wait_seconds
            )
            if not isinstance(lease, Lease):
                _busy(task, key, on_busy, wait_seconds)
            token = _held.set(lease)
            try:
                with running.renewed(leases, lease, lease_seconds):
                    return function(*args, **kwargs)
            finally:
                _held.reset(token)
                _free(leases, lease)

        return run  # type: ignore[return-value]

    return decorate


def fence() -> int:
    """The fencing token of the running task: greater than that of every earlier holder of the same limit.

    Raises ``RuntimeError`` outside a task that is `limited`.
    """
    lease = _held.get()
    if lease is None:
        raise RuntimeError(
            "fence() was called outside a task that is limited, or in one that no message started"
        )
    return lease.fence


def _busy(task: Any, key: str, on_busy: OnBusy, wait_seconds: float) -> NoReturn:
    if on_busy == "raise":
        raise Busy(f"{task.name}: {key} is held by as many runs as may be")
    logger.info("%s: %s is held by as many runs as may be; on_busy=%s", task.name, key, on_busy)
    if on_busy == "drop":
        raise Ignore
    later(task, spread(wait_seconds))


def _free(leases: Any, lease: Lease) -> None:
    try:
        leases.free(lease)
    except running.UNKNOWN as error:
        logger.warning("%s was not freed; it is free when its lease ends: %s", lease.key, error)
