"""What teams write around Celery themselves, done once: each tool is a decorator below ``@app.task``.

`single` and `limited` (`taskfleet.tools.limits`): one at a time, or at most n.
`once` (`taskfleet.tools.done`): a result is kept, and a second run gets it.
`rate` (`taskfleet.tools.rates`): so many per second over all workers.
`chunked` (`taskfleet.tools.chunks`): a long run of millions of rows, one chunk in the queue at a time.
`batch` (`taskfleet.tools.batches`): many calls become one, and an item that fails is tried again alone.
`Pipeline` (`taskfleet.tools.pipelines`): stages with queues of their own, and where each item is.
`store` and `stored` (`taskfleet.tools.stored`): large data goes by S3, and the message has its key.

What must be correct (limits, once, batches) is a conditional write in DynamoDB, which survives a failover of
Redis and works while Redis is away. What may be approximate (rates) lives in Redis. A task that has to wait
is published again under the same id for later: it holds no slot of a worker, and no retry is counted.
"""

from __future__ import annotations

from taskfleet.tools.batches import ItemFailed, batch, batch_keys
from taskfleet.tools.chunks import chunked, start
from taskfleet.tools.done import once
from taskfleet.tools.limits import Busy, fence, limited, single
from taskfleet.tools.pipelines import Pipeline
from taskfleet.tools.ranges import cursor, dates, datetimes, integers
from taskfleet.tools.rates import rate
from taskfleet.tools.stored import PayloadGone, store, stored

__all__ = [
    "Busy",
    "ItemFailed",
    "PayloadGone",
    "Pipeline",
    "batch",
    "batch_keys",
    "chunked",
    "cursor",
    "dates",
    "datetimes",
    "fence",
    "integers",
    "limited",
    "once",
    "rate",
    "single",
    "start",
    "store",
    "stored",
]
