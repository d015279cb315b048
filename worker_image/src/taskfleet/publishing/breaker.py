"""The circuit breaker: while the primary broker is known to be dead, no publish waits for it.

Pure: told what happened and what time it is, it says whether to try. `taskfleet.publishing.probe` asks
a dead broker whether it is back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import StrEnum


class State(StrEnum):
    """Closed lets publishes through, open none, half-open one at a time as a trial."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """One per process and broker. Safe for threads."""

    FAILURES_TO_OPEN = 2  # in a row: a single slow answer is not an outage
    TRIAL_SECONDS = 2.0  # a trial that has not come back by then is given up, and another may try
    STEADY_SECONDS = 30.0  # closed for so long, earlier openings are forgotten
    MOST_PROBES = 5

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._state = State.CLOSED
        self._failures = 0
        self._openings = 0  # since it was last steady: a flapping broker must answer more probes
        self._good_probes = 0
        self._closed_at = clock()
        self._trial_at: float | None = None

    @property
    def state(self) -> State:
        """What it is now."""
        return self._state

    def allows(self) -> bool:
        """Whether to try the broker with this publish; every True is followed by a result."""
        if self._state is State.CLOSED:
            return True
        with self._lock:
            if self.state is not State.HALF_OPEN:
                return self.state is State.CLOSED  # another thread closed it meanwhile
            now = self._clock()
            if self._trial_at is not None and now - self._trial_at < self.TRIAL_SECONDS:
                return False
            self._trial_at = now
            return True

    def succeeded(self) -> None:
        """The broker accepted a publish."""
        if self._state is State.CLOSED and not self._failures:
            return
        with self._lock:
            self._failures = 0
            if self._state is State.HALF_OPEN:
                self._state, self._closed_at = State.CLOSED, self._clock()

    def failed(self) -> bool:
        """The broker did not accept a publish. True if this opened the breaker."""
        with self._lock:
            if self._state is State.OPEN:
                return False
            self._failures += 1
            if self._state is State.CLOSED and self._failures < self.FAILURES_TO_OPEN:
                return False
            self._open()
            return True

    def probed(self, answered: bool) -> None:
        """A probe of the open breaker came back."""
        with self._lock:
            if self._state is not State.OPEN:
                return
            self._good_probes = self._good_probes + 1 if answered else 0
            if self._good_probes >= min(self._openings, self.MOST_PROBES):
                self._state, self._trial_at = State.HALF_OPEN, None

    def _open(self) -> None:
        steady = self._state is State.CLOSED and self._clock() - self._closed_at >= self.STEADY_SECONDS
        self._openings = 1 if steady else self._openings + 1
        self._state, self._failures, self._good_probes = State.OPEN, 0, 0
