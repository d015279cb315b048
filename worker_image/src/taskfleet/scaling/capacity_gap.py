"""The capacity gap of a pool: workers that its load needs, less those wanted now.

The gap is what the scaling alarms watch: >= 1 adds, <= -1 takes away. A pure function of one observation.
What a pool *helps* with is not counted as its load (the owner scales for it), so a helper never grows for
somebody else's backlog. `make bench BENCH=autoscale` compares it with what others ship (docs/scaling.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from taskfleet.scaling.erlang import slots_for
from taskfleet.scaling.rates import Flow

# From a look to the desired count that its alarm sets.
LAG_SECONDS = 20.0
# A pool grows when the queue that its workers will have left, once further ones could be there, would keep a
# task waiting for this share of the target …
LATE_SHARE = 0.5
# … and drains what would be late within this time; the rest within the target.
DRAIN_SECONDS = 5.0
# Share of tasks that may wait for longer than the target: more than the first adds a worker, and none is
# taken away that would leave more than the second. Arrivals are taken half a standard error lower for the
# one and higher for the other, so that chance does not move a pool to and fro.
ADD_ABOVE, KEEP_BELOW, ERRORS = 0.02, 0.002, 0.5

# Without rates: a backlog counts as late when its oldest message has used up this share of the target …
OLD_SHARE = 0.25
# … and as deep, however young, with this many messages per slot.
DEEP_PER_SLOT = 10
# Workers are taken away only when what is left would be this full at most, or the next look adds them again.
FULL_AFTER_SCALE_IN = 0.8


@dataclass(frozen=True, kw_only=True)
class PoolLoad:
    """One pool of one release at one look; None: not known.

    ``busy`` is what is unacknowledged; what waits for its ETA needs no slot. ``keep``: so many workers stay,
    whatever waits: of a release that gates or drains, or while Redis is down. ``changed``: other workers were
    wanted at the look before.
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
    running: int | None = None
    flow: Flow | None = None
    startup_seconds: float = 60.0
    changed: bool = False


def capacity_gap(load: PoolLoad) -> int | None:
    """Workers to add (> 0) or too many (< 0). None holds: nothing is scaled on what is not known."""
    if load.waiting is None or load.busy is None or load.desired is None:
        return None
    return _needed(load, load.waiting, load.busy, load.desired) - load.desired


def _needed(load: PoolLoad, waiting: int, busy: int, desired: int) -> int:
    floor = max(load.min_workers, load.keep, 1 if waiting else 0)
    if load.changed:
        # CloudWatch repeats an alarm's action once a minute while it is on; off for a look, at once.
        wanted = desired
    elif load.flow is not None:
        wanted = _for_flow(load, load.flow, waiting, busy, desired)
    else:
        wanted = _without_rates(load, waiting, busy, desired)
    return min(max(wanted, floor), max(load.max_workers, floor))


def _for_flow(load: PoolLoad, flow: Flow, waiting: int, busy: int, desired: int) -> int:
    """The most of what arrivals need for ever and what the queue needs now; less only if that would do."""
    rate, error = flow.rate
    wanted = max(
        _workers(load, flow, rate - ERRORS * error, ADD_ABOVE), _for_queue(load, flow, waiting, busy, desired)
    )
    if wanted >= desired:
        return wanted
    # As long as there is a queue, its end is near only with those who work it off.
    draining = (rate + waiting / load.latency_target_seconds) * flow.run_seconds
    keep = max(_workers(load, flow, rate + ERRORS * error, KEEP_BELOW), ceil(draining / load.slots))
    return min(desired, max(wanted, keep))


def _workers(load: PoolLoad, flow: Flow, rate: float, late: float) -> int:
    slots = slots_for(
        offered=max(0.0, rate) * flow.run_seconds,
        run_seconds=flow.run_seconds,
        target_seconds=load.latency_target_seconds,
        late=late,
        most=load.max_workers * load.slots,
    )
    return ceil(slots / load.slots)


def _for_queue(load: PoolLoad, flow: Flow, waiting: int, busy: int, desired: int) -> int:
    """Workers that keep the queue from being late, by what will be left of it when they could fetch."""
    if not waiting:
        return 0
    running = desired if load.running is None else min(load.running, desired)
    starting = load.startup_seconds / (1 if running >= desired else 2)
    run, offered = flow.run_seconds, flow.at_least * flow.run_seconds
    # In slot-seconds: what waits, and what arrives beyond what those who run can take.
    left = waiting * run + (offered - running * load.slots) * (starting + LAG_SECONDS)
    if left <= LATE_SHARE * load.latency_target_seconds * max(desired, 1) * load.slots:
        return 0
    late = left > load.latency_target_seconds * max(running, 1) * load.slots
    drain = DRAIN_SECONDS if late else load.latency_target_seconds
    # More slots than tasks are of no use.
    needed = min(offered + left / drain, max(waiting + busy, offered + left / run))
    return ceil(max(needed, waiting + busy if late else 0) / load.slots)


def _without_rates(load: PoolLoad, waiting: int, busy: int, desired: int) -> int:
    """By one look alone: a controller that has just begun, stock workers, SQS."""
    wanted = _for_backlog(load, waiting, busy, desired)
    if wanted < desired:
        wanted = min(desired, ceil((waiting + busy) / (load.slots * FULL_AFTER_SCALE_IN)))
    return wanted


def _for_backlog(load: PoolLoad, waiting: int, busy: int, desired: int) -> int:
    """A slot for each message if the backlog is late or deep; else no more workers than there are."""
    everything = ceil((waiting + busy) / load.slots)
    if _late(load) or waiting >= DEEP_PER_SLOT * load.slots * max(desired, 1):
        return everything
    return min(everything, max(desired, ceil(busy / load.slots)))


def _late(load: PoolLoad) -> bool:
    """An unknown age counts as late: it is the messages of others that do not say theirs."""
    age = load.oldest_age_seconds
    return bool(load.waiting) and (age is None or age >= OLD_SHARE * load.latency_target_seconds)
