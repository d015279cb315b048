"""What scaling remembers of a pool between looks: rates, how long workers take to start, what was wanted.

Of one look alone nothing of it can be seen. It may be lost at any time: counting starts again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from taskfleet.scaling.rates import Counted, Flow, Rates

STARTUP_SECONDS = 60.0
# A start that took longer than this met something else: no capacity, an image that can't be pulled.
LONGEST_STARTUP_SECONDS, SHORTEST_STARTUP_SECONDS = 300.0, 5.0
# How much one more start counts against those before it.
NEW_SHARE = 0.3


@dataclass(frozen=True)
class History:
    """Of one service up to the last look."""

    rates: Rates = field(default_factory=Rates)
    desired: int | None = None
    changed: bool = False
    startup_seconds: float = STARTUP_SECONDS
    _missing_since: float | None = None

    @property
    def flow(self) -> Flow | None:
        """Arrivals and run time, as far as they are known."""
        return self.rates.flow

    def after(
        self, *, now: float, counted: Counted | None, desired: int | None, running: int | None
    ) -> History:
        """With one look more. What is not known leaves what was."""
        rates = self.rates if counted is None else self.rates.after(counted)
        if desired is None or running is None:
            return replace(self, rates=rates, changed=False)
        changed = self.desired is not None and desired != self.desired
        since, startup = self._missing_since, self.startup_seconds
        if self.desired is not None and desired > self.desired and since is None:
            since = now
        if running >= desired and since is not None:
            took = now - since
            if SHORTEST_STARTUP_SECONDS <= took <= LONGEST_STARTUP_SECONDS:
                startup += NEW_SHARE * (took - startup)
            since = None
        return History(rates, desired, changed, startup, since)
