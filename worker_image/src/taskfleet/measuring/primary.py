"""The primary broker: counts and times, however large or many the messages are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import redis

from taskfleet.brokers import eta
from taskfleet.brokers.redis import counts
from taskfleet.brokers.redis.counts import Counts
from taskfleet.measuring.depth import PrimaryDepth

# Of the messages that stock workers hold. Redis must look into each of them at every look.
LOOKED_INTO_AT_MOST = 10_000


def depths(
    client: redis.Redis, queues: Iterable[str], *, now: float, look_into_at_most: int = LOOKED_INTO_AT_MOST
) -> dict[str, PrimaryDepth]:
    """The depth of each versioned queue. Raises redis-py's errors when the broker does not answer.

    While stock workers hold more than ``look_into_at_most`` messages it is not known how many are
    unacknowledged, nor how many wait for their ETA.
    """
    wanted = tuple(queues)
    found = counts.read(client, wanted)
    # Second: what a stock worker fetches meanwhile is then counted in both places, not in none.
    held = counts.stock_held(client, at_most=look_into_at_most)
    if held is None:
        return {queue: _depth(found[queue], None, None, None) for queue in wanted}
    waits = Counter(each.queue for each in held if eta.seconds_until({"eta": each.eta}, now=now) > 0)
    runs = Counter(each.queue for each in held)
    runs.subtract(waits)
    return {
        queue: _depth(
            each,
            each.in_flight + runs[queue],
            each.scheduled + waits[queue],
            # What stock workers fetch is not counted: it would look like tasks that nobody runs.
            None if runs[queue] else each.taken,
        )
        for queue, each in found.items()
    }


def _depth(
    found: Counts, unacknowledged: int | None, scheduled: int | None, taken: int | None
) -> PrimaryDepth:
    return PrimaryDepth(
        waiting=found.waiting,
        oldest_at=found.oldest_at,
        unacknowledged=unacknowledged,
        scheduled=scheduled,
        taken=taken,
        held_since=found.oldest_fetched_at,
    )
