"""A producer's lease, as the plan looks at it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from taskfleet.contract.leases import CLOCKS_DIFFER_SECONDS


@dataclass(frozen=True, kw_only=True)
class Lease:
    """Until when a process may publish to ``releases``; times in seconds since the epoch.

    ``pinned`` to them by its settings, or else it follows the current release.
    """

    process: str
    host: str
    pid: int
    application: str
    releases: tuple[str, ...]
    pinned: bool
    since: float
    until: float

    def past(self, now: float) -> bool:
        """Whether it has ended, by whichever of the two clocks."""
        return now > self.until + CLOCKS_DIFFER_SECONDS

    def __str__(self) -> str:
        return f"{self.application} (pid {self.pid} on {self.host}{', pinned' if self.pinned else ''})"
