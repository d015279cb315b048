"""How deep a queue is, on either broker."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PrimaryDepth:
    """One versioned queue on the primary broker.

    ``waiting``: messages that could run now, of all priorities. ``unacknowledged``: fetched and not
    acknowledged; ``scheduled``: wait for their ETA; None where that was not counted. ``oldest_at``: since
    when the oldest waiting message could run (its publishing or its ETA), seconds since the epoch, None when
    nothing waits or no message says (it was not published through Taskfleet). ``taken``: what workers have
    fetched and not given back, since some beginning; ``held_since``: when the oldest unacknowledged one was
    fetched, None if there is none; neither is known while stock workers fetch too (``taken`` is None).
    """

    waiting: int
    unacknowledged: int | None
    scheduled: int | None
    oldest_at: float | None
    taken: int | None = None
    held_since: float | None = None

    def held(self, now: float) -> float | None:
        """Seconds since the oldest unacknowledged message was fetched; 0 if there is none, None: unknown."""
        if self.taken is None:
            return None
        return 0.0 if self.held_since is None else max(0.0, now - self.held_since)

    def age(self, now: float) -> float | None:
        """Seconds that the oldest message has waited; 0 when none waits, None when that is not known."""
        if self.waiting == 0:
            return 0.0
        return None if self.oldest_at is None else max(0.0, now - self.oldest_at)


@dataclass(frozen=True)
class FallbackDepth:
    """SQS queues, as SQS approximates them: to be fetched, fetched, and delayed.

    ``waiting_since``: since when there was something to be fetched in every look, seconds since the epoch.
    """

    waiting: int
    in_flight: int
    delayed: int
    waiting_since: float | None = None

    def __add__(self, other: FallbackDepth) -> FallbackDepth:
        """Both together; the longer wait."""
        since = [each.waiting_since for each in (self, other) if each.waiting_since is not None]
        return FallbackDepth(
            self.waiting + other.waiting,
            self.in_flight + other.in_flight,
            self.delayed + other.delayed,
            min(since, default=None),
        )

    @property
    def total(self) -> int:
        """Everything that is not done."""
        return self.waiting + self.in_flight + self.delayed

    def waited(self, now: float) -> float:
        """Seconds for which something was there to be fetched in every look."""
        return 0.0 if self.waiting_since is None else max(0.0, now - self.waiting_since)


EMPTY = FallbackDepth(0, 0, 0)
