"""Dead letters that a worker could only keep on Redis, and that the controller has not moved yet."""

from __future__ import annotations

from collections.abc import Sequence

import redis

from taskfleet.contract.messages import REDIS_PARKED


def parked(client: redis.Redis, queues: Sequence[str]) -> dict[str, int]:
    """How many, by versioned queue. Raises redis-py's errors when the broker does not answer."""
    with client.pipeline(transaction=False) as asked:
        for queue in queues:
            asked.llen(REDIS_PARKED + queue)
        counts = asked.execute() if queues else []
    return dict(zip(queues, counts, strict=True))
