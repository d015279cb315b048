"""The table of far ETAs: tasks that wait outside the queues until shortly before they are due.

Partition key `SHARD`, sort key `POSITION`. Not the state table, which has no sort key and whose items a
producer must not be able to write. DynamoDB's own expiry delivers nothing here: it may come days late. It
deletes revokes, which are kept in the same shards for as long as an ETA may be ahead, behind all ETAs.
"""

from __future__ import annotations

import hashlib
import zlib

SHARD, POSITION = "shard", "position"
# A partition takes 1,000 writes a second and gives 3,000 reads (DynamoDB, "Designing partition keys").
SHARDS = 16
EXPIRES = "expires_at"

# Sent so long before it is due, with its ETA: the broker keeps it to the moment. What is sent to a release
# just before a promotion holds its drain for no longer.
LEAD_SECONDS = 60.0
# So often beat looks for what is due.
LOOK_SECONDS = 10.0
# What is farther ahead stays in the queues: a revoke is kept for no longer.
FARTHEST_SECONDS = 365 * 24 * 3600

# The environment's setting may not be less: what is sent at once need not be kept first.
LEAST_BEYOND_SECONDS = 120

_REVOKED = "revoked#"
# Revokes by stamped headers, which name no task: few, and all in one partition.
STAMPS = "stamps"


def shards() -> tuple[str, ...]:
    """All of them."""
    return tuple(map(str, range(SHARDS)))


def shard(task_id: str) -> str:
    """Where a task is kept."""
    return str(zlib.crc32(task_id.encode(errors="surrogatepass")) % SHARDS)


def position(due: float, task_id: str, text: str) -> str:
    """The same for the same message that is kept twice; ``due`` is in seconds since the epoch."""
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{until(due)}#{task_id}#{digest}"


def until(due: float) -> str:
    """What the position of everything that is due before then is less than."""
    return f"{due:014.3f}"


# Greater than every ETA's position, and less than every revoke's.
END = until(9_999_999_999)


def revoked(task_id: str) -> str:
    """The position of a revoke of a task, in the task's shard."""
    return f"{_REVOKED}{task_id}"
