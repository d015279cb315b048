"""What became of every task of a drill: published, accepted, executed. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from taskfleet.contract.environment import FALLBACK, PRIMARY


@dataclass(frozen=True, kw_only=True)
class Publish:
    """One call of ``apply_async``: ``broker`` accepted it after ``seconds``, or None did.

    What the task then starts itself (`drills.mixed`) counts as published with it, under numbers of its own.
    ``may_run`` is what the error said; ``sqs_seconds`` were SQS's own, if it was asked; ``opened`` tells that
    the call opened a circuit breaker.
    """

    n: int
    at: float
    seconds: float
    broker: str | None
    error: str | None = None
    may_run: bool = False
    queue: str = ""
    sqs_seconds: float | None = None
    opened: bool = False


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One execution that came to its end, recorded by the task itself in the process ``pid``."""

    n: int
    at: float
    broker: str | None
    pid: int


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Counts of tasks, except `duplicates`: executions more than one of the same task."""

    submitted: int
    accepted_by_primary: int
    accepted_by_fallback: int
    refused: int
    executed: int
    duplicates: int
    lost: tuple[int, ...]
    refused_but_executed: int

    @property
    def accepted(self) -> int:
        """By either broker."""
        return self.accepted_by_primary + self.accepted_by_fallback


def tally(publishes: Iterable[Publish], executions: Iterable[Execution]) -> Tally:
    """Lost is what a broker accepted and no worker executed."""
    publishes = list(publishes)
    executed = Counter(execution.n for execution in executions)
    by_broker = Counter(publish.broker for publish in publishes)
    accepted = {publish.n for publish in publishes if publish.broker is not None}
    refused = {publish.n for publish in publishes if publish.broker is None}
    return Tally(
        submitted=len(publishes),
        accepted_by_primary=by_broker[PRIMARY],
        accepted_by_fallback=by_broker[FALLBACK],
        refused=len(refused),
        executed=len(executed),
        duplicates=sum(executed.values()) - len(executed),
        lost=tuple(sorted(accepted - executed.keys())),
        refused_but_executed=len(refused & executed.keys()),
    )


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest value that ``percent`` of the values don't exceed; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def first_after(executions: Iterable[Execution], moment: float, broker: str) -> float | None:
    """Seconds from ``moment`` to the first execution from this broker; None if there was none."""
    times = [e.at - moment for e in executions if e.broker == broker and e.at >= moment]
    return min(times, default=None)


def longest_wait(publishes: Iterable[Publish], executions: Iterable[Execution]) -> float | None:
    """The longest time between a publish and its first execution, in seconds."""
    first: dict[int, float] = {}
    for execution in executions:
        first[execution.n] = min(execution.at, first.get(execution.n, math.inf))
    return max((first[p.n] - p.at for p in publishes if p.n in first), default=None)
