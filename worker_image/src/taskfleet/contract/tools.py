"""The tools table: one DynamoDB item for each lock, limit, key and chunked run of `taskfleet.tools`.

Its key is the string ``id``. Not the state table: that one is small and scanned; here a team may have
millions of items, which expire.
"""

from __future__ import annotations

KEY = "id"
# Seconds since the epoch: from then on DynamoDB deletes the item.
EXPIRES = "expires"

# What `fleet rate` has set, and which rates there are (`taskfleet.tools.rate_settings`).
RATES = "rates"
# The ids of all chunked runs that have not ended: `runs`, a set.
CHUNKED = "chunked"

# Every `<pipeline>/<instance>` that an item has entered: `runs`, a set.
PIPELINES = "pipelines"


def limit(name: str, key: str) -> str:
    """Who holds a slot of the limit ``name`` for ``key``: `holders`, `fence`, `version`."""
    return f"limit#{name}#{key}"


def once(name: str, key: str) -> str:
    """Whether the work ``name`` is done for ``key``: as `limit`, and `done`, its result as JSON."""
    return f"once#{name}#{key}"


def chunked(run: str) -> str:
    """Where a chunked run is (`taskfleet.tools.runs`)."""
    return f"chunked#{run}"


def begun(message: str) -> str:
    """How often a suspect message of SQS, by its id there, has begun: `begun` (`taskfleet.worker.begun`)."""
    return f"begun#{message}"


def batch(release: str, name: str, key: str) -> str:
    """The items that wait for their batch (`taskfleet.tools.waiting`)."""
    return f"batch#{release}#{name}#{key}"


def pipeline(instance: str) -> str:
    """The ids of the items of ``<pipeline>/<instance>`` that have not ended: `runs`, a set."""
    return f"pipeline#{instance}"


def pipeline_item(item: str) -> str:
    """Where an item is, ``<pipeline>/<instance>/<item>`` (`taskfleet.tools.pipelines`)."""
    return f"pipeline-item#{item}"
