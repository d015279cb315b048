"""The settings that the tests run on. Frozen: no test depends on what a team has in `infra.environments`.

They began as a copy of it. Change them where a test needs it, not to follow it. The generated parts of the
documentation (costs, the ledger) are of these, too.
"""

from __future__ import annotations

from dataclasses import replace

from infra.settings import Broker, Egress, Execution, Limits, Network, Pool, ResultsCache, Settings

ACCOUNT = "111111111111"  # the placeholder
REGION = "eu-west-1"
ZONES = ("eu-west-1a", "eu-west-1b", "eu-west-1c")

HIGH = Pool(name="high", queues=("high",), latency_target_seconds=10)
LOW = Pool(name="low", queues=("low", "etl"), helps=("high",), latency_target_seconds=300)
WAREHOUSE = Pool(
    name="warehouse",
    queues=("picking", "packing", "delivery"),
    execution=Execution.THREADS,
    concurrency=8,
)


# Short enough to see each of them act, long enough for a slow machine.
LOCAL_LIMITS = Limits(
    soft_time_limit_seconds=30,
    time_limit_seconds=40,
    visibility_timeout_seconds=90,
    fallback_visibility_timeout_seconds=90,
    longest_countdown_seconds=60,
    soft_shutdown_seconds=5,
    stop_timeout_seconds=15,
)


def _small(pool: Pool, **changes: object) -> Pool:
    """A pool for one machine: few slots, few workers, and scaling that can be watched."""
    small = {
        "concurrency": 2,
        "min_workers": 1,
        "max_workers": 3,
        "scale_in_after_seconds": 30,
        "fallback_sleep_after_seconds": 30,
        "limits": LOCAL_LIMITS,
    }
    return replace(pool, **{**small, **changes})  # type: ignore[arg-type]


LOCAL = Settings(
    app="drills.tasks.scheduled:app",
    name="local",
    account="000000000000",
    region="us-east-1",
    on_this_machine=True,
    keep_data=False,
    network=Network(
        availability_zones=("us-east-1a", "us-east-1b"), egress=Egress.ENDPOINTS, flow_log_retention_days=1
    ),
    broker=Broker(nodes=2, snapshot_retention_days=0),
    # All queues but one: the drill `broker-failover` shows what a queue loses that is not confirmed.
    pools=(_small(HIGH), _small(LOW, confirmed=("low",)), _small(WAREHOUSE, concurrency=8)),
    results=ResultsCache(),
    drain_deadline_seconds=600,
    log_retention_days=1,
)

DEV = Settings(
    app="drills.tasks.app:app",
    name="dev",
    account=ACCOUNT,
    region=REGION,
    keep_data=False,
    # One NAT gateway and one broker node: cheap, and nobody is called when a zone fails.
    network=Network(
        cidr="10.40.0.0/16", availability_zones=ZONES[:2], nat_gateways=1, flow_log_retention_days=7
    ),
    broker=Broker(node_type="cache.t4g.micro", nodes=1, snapshot_retention_days=1),
    pools=(replace(HIGH, max_workers=2), replace(LOW, max_workers=2), WAREHOUSE),
    log_retention_days=7,
    container_insights=False,
)

STAGING = Settings(
    app="drills.tasks.app:app",
    name="staging",
    account=ACCOUNT,
    region=REGION,
    network=Network(cidr="10.41.0.0/16", availability_zones=ZONES[:2]),
    pools=(HIGH, LOW, WAREHOUSE),
)

PROD = Settings(
    app="drills.tasks.app:app",
    name="prod",
    account=ACCOUNT,
    region=REGION,
    network=Network(cidr="10.42.0.0/16", availability_zones=ZONES),
    broker=Broker(node_type="cache.r7g.large", nodes=3),
    # Two of each, in two zones: losing one must not stop a queue.
    pools=(replace(HIGH, min_workers=2), replace(LOW, min_workers=2), replace(WAREHOUSE, min_workers=2)),
    log_retention_days=90,
)

ALL = (LOCAL, DEV, STAGING, PROD)
