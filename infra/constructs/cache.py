"""What every ElastiCache group of an environment has: password, subnets, logs, a way in for who uses it."""

from __future__ import annotations

import json
import string
from collections.abc import Iterable

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct
from taskfleet.contract.limits import BROKER_PASSWORD_LENGTH

from infra.base import stateful
from infra.constructs.log_groups import log_group
from infra.constructs.vpc import peer
from infra.settings import Settings


def cache_secret(
    scope: Construct, *, settings: Settings, name: str, description: str, key: kms.IKey
) -> secretsmanager.Secret:
    """User and generated password, which every process reads when it connects."""
    return secretsmanager.Secret(
        scope,
        "Secret",
        secret_name=name,
        description=description,
        encryption_key=key,
        generate_secret_string=secretsmanager.SecretStringGenerator(
            secret_string_template=json.dumps({"username": "default"}),
            generate_string_key="password",
            password_length=BROKER_PASSWORD_LENGTH,
            # ElastiCache refuses most punctuation in an AUTH token, and a URL would have to quote the rest.
            exclude_characters=string.punctuation,
            include_space=False,
        ),
        removal_policy=stateful(settings),
    )


def admit(
    group: ec2.SecurityGroup, port: int, *, workers: ec2.ISecurityGroup, more: Iterable[str], setting: str
) -> None:
    """Let the fleet in on the port, and whom ``setting`` names; nobody else."""
    tcp = ec2.Port.tcp(port)
    group.add_ingress_rule(workers, tcp, "workers, controller and beat")
    for one in more:
        group.add_ingress_rule(peer(one), tcp, f"{setting} in the settings")


def private_subnets(scope: Construct, vpc: ec2.IVpc) -> elasticache.CfnSubnetGroup:
    """Where its nodes stand."""
    return elasticache.CfnSubnetGroup(
        scope,
        "Subnets",
        description="The private subnets",
        subnet_ids=[subnet.subnet_id for subnet in vpc.private_subnets],
    )


def log_deliveries(
    scope: Construct, *, settings: Settings, key: kms.IKey
) -> list[elasticache.CfnReplicationGroup.LogDeliveryConfigurationRequestProperty]:
    """Slow commands and the engine's own log, each to a log group."""
    kinds = {"slow-log": "SlowLog", "engine-log": "EngineLog"}
    return [
        elasticache.CfnReplicationGroup.LogDeliveryConfigurationRequestProperty(
            log_type=kind,
            log_format="json",
            destination_type="cloudwatch-logs",
            destination_details=elasticache.CfnReplicationGroup.DestinationDetailsProperty(
                cloud_watch_logs_details=elasticache.CfnReplicationGroup.CloudWatchLogsDestinationDetailsProperty(
                    log_group=log_group(
                        scope, id, key=key, retention_days=settings.log_retention_days
                    ).log_group_name
                )
            ),
        )
        for kind, id in kinds.items()
    ]
