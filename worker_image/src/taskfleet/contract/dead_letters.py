"""The table of dead letters: string key ``id``, number key ``part``.

Part 0 is the letter. A message that is too large for one item follows it in parts 1, 2, …. An index has
the letters of each logical queue in the order of their parking: only part 0 has its keys.
"""

from __future__ import annotations

ID = "id"
PART = "part"
LETTER = 0  # the part that is the letter itself

INDEX = "by-queue"
QUEUE = "queue"
PARKED = "parked"  # `position`: unique, and later ones are greater

# DynamoDB deletes an item some time after this moment, seconds since the epoch.
EXPIRES = "expires_at"
KEEP_SECONDS = 14 * 24 * 3600

# What the index has beside its keys: enough for a list, and little to read when letters are counted.
LISTED = ("at", "kind", "reason", "task", "task_id", "release", "pool")


def position(at: float, letter_id: str) -> str:
    """Where a letter stands in its queue's list; ``at`` is in seconds since the epoch."""
    return f"{at:014.3f}#{letter_id}"
