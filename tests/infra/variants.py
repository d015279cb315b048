"""Settings that differ from the blueprint's own in everything that a team may change."""

from __future__ import annotations

from dataclasses import replace

from infra import environments
from infra.settings import Allow, Architecture, Capacity, Execution, Image, Pool

DIGEST = "sha256:" + "0123456789abcdef" * 4
GIVEN = Image(uri="111111111111.dkr.ecr.eu-west-1.amazonaws.com/shop", digest=DIGEST)

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
    variables={"SHOP": "7"},
    secrets={"STRIPE_KEY": "arn:aws:secretsmanager:eu-west-1:111111111111:secret:stripe-AbCdEf"},
    alarm_email="oncall@example.com",
    runbook_url="https://example.com/book",
)
