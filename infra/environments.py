"""The one file to edit: what each environment is made of."""

from __future__ import annotations

from infra.settings import Broker, Egress, Execution, Image, Limits, Network, Pool, Settings

PLACEHOLDER_ACCOUNT = "111111111111"  # replace it with yours, below

HIGH = Pool(name="high", queues=("high",), latency_target_seconds=10)
LOW = Pool(name="low", queues=("low", "etl"), helps=("high",), latency_target_seconds=300)
WAREHOUSE = Pool(
    name="warehouse",
    queues=("picking", "packing", "delivery"),
    execution=Execution.THREADS,
    concurrency=8,
)
