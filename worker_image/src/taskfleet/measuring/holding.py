"""Which tasks hold up a drain, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import redis

from taskfleet.brokers.redis import counts

# Of what waits, runs and is scheduled in a queue: some milliseconds of Redis's time if they are large.
LOOKED_INTO_AT_MOST = 200
UNNAMED = "unnamed"


def holding(
    client: redis.Redis, queues: Sequence[str], *, look_into_at_most: int = LOOKED_INTO_AT_MOST
) -> dict[str, int]:
    """How many of each, of those that were looked into. Raises redis-py's errors."""
    found = counts.task_names(client, queues, at_most=look_into_at_most)
    return dict(Counter(name or UNNAMED for name in found).most_common())
