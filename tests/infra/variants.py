"""Settings that differ from the blueprint's own in everything that a team may change."""

from __future__ import annotations

from dataclasses import replace

from infra.settings import (
    Allow,
    Architecture,
    Capacity,
    Egress,
    Engine,
    Execution,
    ExistingVpc,
    Image,
    Network,
    Pool,
    ResultsCache,
    Secret,
)
from tests.support import reference as environments

DIGEST = "sha256:" + "0123456789abcdef" * 4
GIVEN = Image(uri="111111111111.dkr.ecr.eu-west-1.amazonaws.com/shop", digest=DIGEST)

# A team's own VPC without a way to the internet, which has some of the endpoints; a database to reach, and a
# web application that publishes.
DATABASE, WEB, WEB_RANGE = "sg-0123456789abcdef0", "sg-0fedcba9876543210", "10.8.0.0/20"
SNAPSHOT = "automatic.taskfleet-existing-001-2026-11-20-03-10"
SCRAPER, SCRAPER_RANGE = "sg-0aaaaaaaaaaaaaaaa", "10.9.0.0/24"
EXISTING = replace(
    environments.PROD,
    name="existing",
    bootstrap_qualifier="shop1",
    network=Network(
        existing=ExistingVpc(
            id="vpc-0123456789abcdef0",
            subnet_ids=tuple(f"subnet-0123456789abcdef{zone}" for zone in range(3)),
            route_table_ids=("rtb-0123456789abcdef0",) * 3,
            endpoints=("s3", "ssm", "sqs", "ecr.api", "ecr.dkr"),
        ),
        availability_zones=environments.ZONES,
        egress=Egress.ENDPOINTS,
    ),
    broker=replace(environments.PROD.broker, ingress=(WEB, WEB_RANGE), restore_from_snapshot=SNAPSHOT),
    results=ResultsCache(nodes=2),
    metrics_from=(SCRAPER, SCRAPER_RANGE),
    pools=tuple(
        replace(pool, security_groups=(DATABASE,)) if pool.name == "low" else pool
        for pool in environments.PROD.pools
    ),
)

_PROD = environments.PROD
VARIANTS = [
    replace(_PROD, name="endpoints", network=replace(_PROD.network, egress=Egress.ENDPOINTS)),
    replace(
        _PROD,
        name="redis",
        broker=replace(_PROD.broker, engine=Engine.REDIS, engine_version="7.1"),
        ecs_exec=True,
    ),
    replace(_PROD, name="nofailover", broker=replace(_PROD.broker, failover=False)),
    EXISTING,
]

# A team's secrets: one as it is, a field of one under a key of the team's, and a parameter under it.
_HERE = "eu-west-1:111111111111"
STRIPE = f"arn:aws:secretsmanager:{_HERE}:secret:stripe-AbCdEf"
SHOP_DATABASE = f"arn:aws:secretsmanager:{_HERE}:secret:shop/database-GhIjKl"
MAIL = f"arn:aws:ssm:{_HERE}:parameter/shop/mail"
KEY = f"arn:aws:kms:{_HERE}:key/01234567-89ab-cdef-0123-456789abcdef"
# The policy that the team's key has by default: its account's IAM decides.
KEY_STATEMENT = {
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
    "Action": "kms:*",
    "Resource": "*",
}

MIXED = replace(
    environments.DEV,
    image=replace(GIVEN, architecture=Architecture.X86_64),
    pools=(
        Pool(name="high", queues=("high",), warm_fallback_workers=1, max_fallback_workers=4),
        Pool(name="low", queues=("low",), helps=("high",), capacity=Capacity.FARGATE_SPOT, min_workers=2),
        Pool(
            name="web",
            queues=("mail",),
            execution=Execution.GEVENT,
            concurrency=100,
            allow=(
                Allow(
                    actions=("s3:GetObject",),
                    resources=("arn:aws:s3:::shop-mail/*",),
                    reason="Templates of mails come and go.",
                ),
            ),
            managed_policies=("arn:aws:iam::aws:policy/AmazonSESFullAccess",),
        ),
        Pool(name="big", queues=("render",), capacity=Capacity.EC2, instance_type="m7i.large", min_workers=0),
    ),
    before_gate=("python", "manage.py", "migrate"),
    variables={"SHOP": "7"},
    secrets={
        "STRIPE_KEY": STRIPE,
        "DATABASE_PASSWORD": Secret(SHOP_DATABASE, field="password", key=KEY),
        "MAIL_TOKEN": Secret(MAIL, key=KEY),
    },
    alarm_email="oncall@example.com",
    runbook_url="https://example.com/book",
)
