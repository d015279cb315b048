"""Where an environment keeps tasks' results, if its settings ask for it: a table, or a cache of its own.

The table's attributes are those of Celery's DynamoDB backend (`celery.backends.dynamodb`).
"""

from __future__ import annotations

from taskfleet.contract import names

KEY = "id"
# Seconds since the epoch: from then on DynamoDB deletes the item.
EXPIRES = "ttl"

# The value of the parameters `result-backend` and `results-secret-arn` where there is no such thing.
NONE = "none"


def url(environment: str, region: str, *, expires_seconds: int) -> str:
    """Celery's ``result_backend``. The table's time to live is on already: Celery only looks at it."""
    return f"dynamodb://@{region}/{names.results_table(environment)}?ttl_seconds={expires_seconds}"


def cache_url(host: str, port: object) -> str:
    """Celery's ``result_backend`` on ElastiCache. No password: the provider that it names reads that."""
    provider = "taskfleet.brokers.credentials:results"
    return f"rediss://{host}:{port}/0?ssl_cert_reqs=required&credential_provider={provider}"
