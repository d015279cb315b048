"""What the controller asks AWS for in a month at rest. A test counts the requests of a real look.

What it asks of SSM (standard parameters, standard throughput) and of ECS is free.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from taskfleet.contract import etas
from taskfleet.contract.metrics import LOOK_SECONDS

from infra.prices import HOURS_PER_MONTH
from infra.settings import Settings

LOOKS_PER_MONTH = math.ceil(HOURS_PER_MONTH * 3600 / LOOK_SECONDS)
# A look as it is kept (JSON), of an environment with one release: the frame, and what each pool adds.
LOOK_BYTES, LOOK_POOL_BYTES = 400, 800


# Beat's search for far ETAs that are due: the first of each shard, read consistently.
ETAS_PER_MONTH = math.ceil(HOURS_PER_MONTH * 3600 / etas.LOOK_SECONDS) * etas.SHARDS


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Of one look: requests, and for DynamoDB what they are paid by. One release is live."""

    put_metric_data: int
    sqs: int
    dynamodb_reads: float  # of 4 KB, consistent
    dynamodb_writes: int  # of 1 KB


def of_a_look(settings: Settings) -> Requests:
    """What one look costs in requests."""
    queues = sum(len(pool.queues) for pool in settings.pools)
    look = LOOK_BYTES + LOOK_POOL_BYTES * len(settings.pools)
    # Pointer, beat's tick, what people hold, the release, and the leases of 25 producers: read consistently.
    state = 5
    due = 0.5 * etas.SHARDS  # the first of each shard of far ETAs, read eventually consistently
    counts = 2 * queues  # dead letters: all, and the new ones; an index is read eventually consistently
    return Requests(
        put_metric_data=1,
        sqs=2 * queues,  # each queue's twin, and its dead-letter queue
        dynamodb_reads=state + due + counts * 0.5,
        dynamodb_writes=math.ceil(look / 1024),
    )
