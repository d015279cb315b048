"""The capacity gap of a pool: workers that its load needs, less those wanted now.

The gap is what the scaling alarms watch: >= 1 adds, <= -1 takes away. A pure function of one look, first
version: it does not know arrival rates and runtimes yet. What a pool *helps* with is not counted as
its load (the owner scales for it), so a helper never grows for somebody else's backlog.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

# A backlog counts as late when its oldest message has used up this share of the latency target …
LATE_SHARE = 0.25
# … and as deep, however young, with this many messages per slot.
DEEP_PER_SLOT = 10
# Workers are taken away only when what is left would be this full at most, or the next look adds them again.
FULL_AFTER_SCALE_IN = 0.8


@dataclass(frozen=True, kw_only=True)
class PoolLoad:
    """One pool of one release at one look; None: not known.

    ``busy`` is what is unacknowledged; what waits for its ETA needs no slot. ``keep``: so many workers stay,
    whatever waits: of a release that gates or drains, or while Redis is down.
    """

    waiting: int | None
    busy: int | None
    oldest_age_seconds: float | None
    slots: int
    latency_target_seconds: float
    min_workers: int
    max_workers: int
    desired: int | None
    keep: int = 0


def capacity_gap(load: PoolLoad) -> int | None:
    """Workers to add (> 0) or too many (< 0). None holds: nothing is scaled on what is not known."""
    if load.waiting is None or load.busy is None or load.desired is None:
        return None
    return _needed(load, load.waiting, load.busy, load.desired) - load.desired


def _needed(load: PoolLoad, waiting: int, busy: int, desired: int) -> int:
    floor = max(load.min_workers, load.keep, 1 if waiting else 0)
    wanted = _for_backlog(load, waiting, busy, desired)
    if wanted < desired:
        wanted = min(desired, ceil((waiting + busy) / (load.slots * FULL_AFTER_SCALE_IN)))
    return min(max(wanted, floor), max(load.max_workers, floor))


def _for_backlog(load: PoolLoad, waiting: int, busy: int, desired: int) -> int:
    """A slot for each message if the backlog is late or deep; else no more workers than there are."""
    everything = ceil((waiting + busy) / load.slots)
    if _late(load) or waiting >= DEEP_PER_SLOT * load.slots * max(desired, 1):
        return everything
    return min(everything, max(desired, ceil(busy / load.slots)))


def _late(load: PoolLoad) -> bool:
    """An unknown age counts as late: it is the messages of others that do not say theirs."""
    age = load.oldest_age_seconds
    return bool(load.waiting) and (age is None or age >= LATE_SHARE * load.latency_target_seconds)
