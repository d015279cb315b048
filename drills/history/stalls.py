"""When the machine itself stood still: a thread that only sleeps notes each time that it was woken late.

A bound in seconds is held to a process that may run. On a machine that is shared, what the checker calls late
may be a second in which nobody ran: the bounds are longer by what was measured here. The brokers' front is a
thread of this process too: while it stands still, no broker answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

_BEAT_SECONDS = 0.05
# Less is what any scheduler does.
_LEAST_SECONDS = 0.25


@dataclass(frozen=True, kw_only=True)
class Stall:
    """From when to when, in seconds since the epoch."""

    began_at: float
    ended_at: float


class Stalls:
    """Watches until it is closed."""

    def __init__(self) -> None:
        self._found: list[Stall] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stalls", daemon=True)
        self._thread.start()

    def since(self, at: float) -> list[Stall]:
        """Those that ended after that."""
        return [stall for stall in list(self._found) if stall.ended_at >= at]

    def close(self) -> None:
        """Watch no longer."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        before = time.time()
        while not self._over.wait(_BEAT_SECONDS):
            now = time.time()
            if now - before - _BEAT_SECONDS > _LEAST_SECONDS:
                self._found.append(Stall(began_at=before, ended_at=now))
            before = now


def stalled(stalls: Sequence[Stall], since: float, until: float) -> float:
    """For how many seconds between the two the machine stood still."""
    return sum(max(0.0, min(each.ended_at, until) - max(each.began_at, since)) for each in stalls)
