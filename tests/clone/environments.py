"""What another team has in `infra/environments.py`, under names of its own (`tests.clone.become`)."""

from __future__ import annotations

from dataclasses import replace

from infra.settings import Broker, Egress, Execution, Limits, Network, Pool, Settings

ACCOUNT = "123456789012"
REGION = "eu-central-1"
ZONES = ("eu-central-1a", "eu-central-1b", "eu-central-1c")
APP = "shop.app:app"
DEFAULT_QUEUE = "letters"

URGENT = Pool(name="urgent", queues=("codes",), latency_target_seconds=5)
OFFICE = Pool(name="office", queues=("letters", "invoices"), helps=("codes",))
CRAWL = Pool(name="crawl", queues=("pages", "images"), execution=Execution.GEVENT, concurrency=100)

LIMITS = Limits(
    soft_time_limit_seconds=30,
    time_limit_seconds=40,
    visibility_timeout_seconds=90,
    fallback_visibility_timeout_seconds=90,
    longest_countdown_seconds=60,
    soft_shutdown_seconds=5,
    stop_timeout_seconds=15,
)

LOCAL = Settings(
    app=APP,
    default_queue=DEFAULT_QUEUE,
    name="local",
    account="000000000000",
    region="us-east-1",
    on_this_machine=True,
    keep_data=False,
    network=Network(availability_zones=("us-east-1a", "us-east-1b"), egress=Egress.ENDPOINTS),
    broker=Broker(nodes=2, snapshot_retention_days=0),
    pools=tuple(
        replace(pool, concurrency=2, max_workers=2, limits=LIMITS) for pool in (URGENT, OFFICE, CRAWL)
    ),
)

ACCEPTANCE = Settings(
    app=APP,
    default_queue=DEFAULT_QUEUE,
    name="acceptance",
    account=ACCOUNT,
    region=REGION,
    keep_data=False,
    network=Network(cidr="10.50.0.0/16", availability_zones=ZONES[:2], nat_gateways=1),
    broker=Broker(node_type="cache.t4g.micro", nodes=1, snapshot_retention_days=1),
    pools=(URGENT, OFFICE, CRAWL),
)

LIVE = Settings(
    app=APP,
    default_queue=DEFAULT_QUEUE,
    name="live",
    account=ACCOUNT,
    region=REGION,
    network=Network(cidr="10.51.0.0/16", availability_zones=ZONES),
    broker=Broker(node_type="cache.r7g.large", nodes=3),
    pools=(replace(URGENT, min_workers=2), OFFICE, CRAWL),
    alarm_email="oncall@example.com",
)

ALL = (LOCAL, ACCEPTANCE, LIVE)
