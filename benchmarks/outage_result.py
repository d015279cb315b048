"""What an outage cost: pure, from the calls and the executions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Call:
    """One publish that began ``at``: it took ``seconds``, or (None) had not returned when the watch ended."""

    n: int
    at: float
    seconds: float | None
    error: str | None

    @property
    def accepted(self) -> bool:
        """It returned, and without an error."""
        return self.seconds is not None and self.error is None


@dataclass(frozen=True, kw_only=True)
class Outage:
    """When the broker went, when it came back, and until when anybody looked; seconds since the epoch."""

    began: float
    ended: float
    watched_until: float


@dataclass(frozen=True)
class Result:
    """The calls, the executions as (number, when), how many calls there should have been, and restarts."""

    outage: Outage
    calls: Sequence[Call]
    executions: Sequence[tuple[int, float]]
    wanted: int
    worker_restarts: int

    @property
    def accepted(self) -> int:
        """Calls that returned."""
        return sum(call.accepted for call in self.calls)

    @property
    def refused(self) -> int:
        """Calls that raised: the application knows, and has to do something about it."""
        return sum(call.error is not None for call in self.calls)

    @property
    def not_sent(self) -> int:
        """Calls that were never made or never returned, because an earlier one or they themselves hung."""
        return self.wanted - self.accepted - self.refused

    @property
    def lost(self) -> int:
        """Accepted, and not executed for as long as anybody looked."""
        executed = {n for n, _ in self.executions}
        return sum(call.accepted and call.n not in executed for call in self.calls)

    @property
    def duplicates(self) -> int:
        """Executions more than one of the same task."""
        return sum(Counter(n for n, _ in self.executions).values()) - len({n for n, _ in self.executions})

    @property
    def longest_publish(self) -> tuple[float, bool]:
        """Seconds of the longest call, and whether it had returned by then."""
        times = [(self._seconds(call), call.seconds is not None) for call in self.calls]
        return max(times, key=lambda time: time[0], default=(0.0, True))

    @property
    def recovery(self) -> tuple[float, bool]:
        """Seconds from the broker's return until a task published after it was executed, if one was."""
        ended = self.outage.ended
        later = {call.n for call in self.calls if call.accepted and call.at >= ended}
        first = min((at for n, at in self.executions if n in later), default=None)
        return (self.outage.watched_until - ended, False) if first is None else (first - ended, True)

    def _seconds(self, call: Call) -> float:
        return self.outage.watched_until - call.at if call.seconds is None else call.seconds
