"""Since when nobody fetches what waits in a queue, although slots are free. Pure.

A pool that is full of long tasks fetches nothing either, so a queue that waits says little alone.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Fetching:
    """A queue at one look. ``taken`` as in `PrimaryDepth`; ``since`` is None while it is attended to."""

    at: float
    waiting: int
    taken: int
    free: bool
    since: float | None = None

    def after(self, before: Fetching | None) -> float | None:
        """Since when, seconds since the epoch; ``before`` is the look before, if there was one."""
        if before is None or not (before.waiting and before.free and self.waiting and self.free):
            return None
        if self.taken != before.taken:
            return None
        return before.at if before.since is None else before.since

    @property
    def seconds(self) -> float:
        """For how long; 0 while it is attended to, or nothing waits."""
        return 0.0 if self.since is None else max(0.0, self.at - self.since)
