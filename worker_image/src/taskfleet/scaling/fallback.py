"""What the workers on SQS have to do, as a load like that of those on Redis."""

from __future__ import annotations

from dataclasses import dataclass

from taskfleet.measuring.depth import FallbackDepth
from taskfleet.scaling.capacity_gap import PoolLoad


@dataclass(frozen=True, kw_only=True)
class FallbackPool:
    """A pool's workers on SQS at one look; None: not known.

    ``waited_seconds``: how long messages have been there to be fetched in every look, since SQS does not say
    how old they are. ``needed``: Redis is down and publishes go to this release.
    """

    depth: FallbackDepth | None
    waited_seconds: float
    slots: int
    latency_target_seconds: float
    warm_workers: int
    max_workers: int
    desired: int | None
    broker_up: bool
    needed: bool

    def load(self) -> PoolLoad:
        """What `capacity_gap` is asked about."""
        depth, desired = self.depth, self.desired or 0
        return PoolLoad(
            waiting=depth.waiting if depth else None,
            # In flight are tasks that run and tasks that wait for their ETA: SQS can't tell them apart.
            busy=min(depth.in_flight, self.slots * desired) if depth else None,
            oldest_age_seconds=self.waited_seconds,
            slots=self.slots,
            latency_target_seconds=self.latency_target_seconds,
            min_workers=self.warm_workers,
            max_workers=self.max_workers,
            desired=self.desired,
            keep=self._keep(desired),
        )

    def _keep(self, desired: int) -> int:
        """Nobody sleeps while Redis is down: a queue that its workers keep empty looks idle."""
        awake = 1 if self.needed or (self.depth is not None and self.depth.total) else 0
        return awake if self.broker_up else max(awake, desired)
