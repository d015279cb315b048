"""The VPC endpoints that containers need: construct id → service, as AWS names it behind the region.

What a task needs to start (image, logs, secrets), the fallback broker, what the controller measures, moves
and deletes, the agent of an EC2 instance, and ECS Exec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.settings import Settings

# They cost nothing, so that they exist with a NAT gateway too: image layers (in S3) and the state table then
# don't pay for its traffic.
GATEWAYS = {"S3": "s3", "DynamoDb": "dynamodb"}

INTERFACES = {
    "EcrApi": "ecr.api",
    "EcrDocker": "ecr.dkr",
    "Logs": "logs",
    "Metrics": "monitoring",
    "Sqs": "sqs",
    "Ssm": "ssm",
    "SsmMessages": "ssmmessages",
    "SecretsManager": "secretsmanager",
    "Kms": "kms",
    "Sts": "sts",
    "Ecs": "ecs",
    "CloudFormation": "cloudformation",
    "EcsAgent": "ecs-agent",
    "EcsTelemetry": "ecs-telemetry",
}

# What only some environments need: an endpoint is paid for by the hour, in every zone.
SHELLS = ("ssmmessages",)
INSTANCES = ("ecs-agent", "ecs-telemetry")


def interfaces(settings: Settings) -> dict[str, str]:
    """Those of `INTERFACES` that this environment's containers need."""
    on_instances = any(pool.capacity == "ec2" for pool in settings.pools)
    spare = (*(() if settings.allows_exec else SHELLS), *(() if on_instances else INSTANCES))
    return {id: service for id, service in INTERFACES.items() if service not in spare}
