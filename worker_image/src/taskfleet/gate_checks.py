"""`gate`: a team's own check of a release, a task that runs once before the release becomes current."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from celery import Celery

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "taskfleet_gate"
TIMEOUT_SECONDS = 60
# The gate as a whole has `taskfleet.contract.limits.GATE_DEADLINE_SECONDS`.
LONGEST_SECONDS = 600


@dataclass(frozen=True)
class Marked:
    """What a task said of itself. ``pool`` is empty for the pool of the default queue."""

    pool: str
    timeout_seconds: int


@overload
def gate(function: F, /) -> F: ...


@overload
def gate(*, pool: str | None = None, timeout_seconds: int = TIMEOUT_SECONDS) -> Callable[[F], F]: ...


def gate(function: Any = None, /, *, pool: str | None = None, timeout_seconds: int = TIMEOUT_SECONDS) -> Any:
    """Run a task before each release becomes current, and only promote a release whose task succeeds.

    Put it below ``@app.task``, with or without parentheses. The task is called without arguments, once for
    each deployed release, by a worker of ``pool`` (default: the pool of the default queue) that runs the
    release's own code. An exception, or more than ``timeout_seconds`` (1 to 600), fails the gate: the deploy
    fails with the exception's type and message, and the release before stays current. What a task returns is
    not looked at. A worker that dies in it runs it again, so let it be one that may run twice.

    Raises ``ValueError`` for another time-out.
    """
    if not 1 <= timeout_seconds <= LONGEST_SECONDS:
        raise ValueError(f"gate(timeout_seconds={timeout_seconds}): 1 to {LONGEST_SECONDS} seconds")

    def mark(function: F) -> F:
        setattr(function, _MARK, Marked(pool or "", timeout_seconds))
        return function

    return mark if function is None else mark(function)


def marked(app: Celery) -> dict[str, Marked]:
    """The tasks of an application that are gates, by name."""
    found = {name: getattr(getattr(task, "run", None), _MARK, None) for name, task in app.tasks.items()}
    return {name: mark for name, mark in sorted(found.items()) if mark is not None}
