"""The results table: where Celery's DynamoDB backend keeps results, if an environment's settings ask for it.

Its attributes are Celery's own (`celery.backends.dynamodb`).
"""

from __future__ import annotations

from taskfleet.contract import names

KEY = "id"
# Seconds since the epoch: from then on DynamoDB deletes the item.
EXPIRES = "ttl"

# The value of the parameter `result-backend` where the environment has none of its own.
NONE = "none"


def url(environment: str, region: str, *, expires_seconds: int) -> str:
    """Celery's ``result_backend``. The table's time to live is on already: Celery only looks at it."""
    return f"dynamodb://@{region}/{names.results_table(environment)}?ttl_seconds={expires_seconds}"
