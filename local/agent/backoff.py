"""How long a service waits before its next start when its tasks fail. Pure.

ECS holds back tasks that fail before they run, up to 15 minutes, and starts at once what ran and
exited; there the machine's own start-up takes most of a minute. Here a start takes a moment, so both
wait, twice as long each time: seconds for what ran, up to a minute for what could not be started.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from local.agent.model import Revision, ServiceName

# A task that ran this long was not a failed start: the next one begins at once.
LONG_ENOUGH_SECONDS = 60.0
LONGEST_AFTER_RUN_SECONDS = 8.0
LONGEST_SECONDS = 60.0


def delay_seconds(failures: int, *, ran: bool) -> float:
    """Before the next start, after ``failures`` in a row: 0.5, 1, 2, … up to the limit of the kind."""
    longest = LONGEST_AFTER_RUN_SECONDS if ran else LONGEST_SECONDS
    return 0.0 if failures == 0 else float(min(longest, 2.0 ** min(failures - 2, 10)))


@dataclass
class Backoff:
    """Counts failures per service and revision. A new revision starts with a clean sheet."""

    _failures: dict[ServiceName, tuple[Revision, int]] = field(default_factory=dict)
    _until: dict[ServiceName, float] = field(default_factory=dict)

    def exited(
        self, service: ServiceName, revision: Revision, *, ran_seconds: float | None, now: float
    ) -> float:
        """A task ended by itself (``ran_seconds`` None: it never started). The delay in seconds."""
        known, count = self._failures.get(service, (revision, 0))
        if known != revision:
            count = 0
        count = 0 if ran_seconds is not None and ran_seconds >= LONG_ENOUGH_SECONDS else count + 1
        delay = delay_seconds(count, ran=ran_seconds is not None)
        self._failures[service] = (revision, count)
        self._until[service] = now + delay
        return delay

    def held(self, service: ServiceName, revision: Revision, *, now: float) -> bool:
        """Whether the service has to wait with its next start."""
        known, _ = self._failures.get(service, (revision, 0))
        return known == revision and now < self._until.get(service, 0.0)
