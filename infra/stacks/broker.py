"""The primary broker: an ElastiCache replication group, its password and its alarms' sources."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct
from taskfleet.contract import names, parameters

from infra.base import EnvironmentStack, lookup, lookup_key, lookup_vpc, lookup_workers, publish, stateful
from infra.checks import elasticache as catalogue
from infra.checks.nag import acknowledge
from infra.constructs.cache import admit, cache_secret, log_deliveries, private_subnets
from infra.settings import Settings

# ElastiCache has no append-only file ("AOF isn't supported on Redis versions 2.8.22 and later").
ONE_NODE = (
    "the broker has one node (Broker.nodes=1): if it dies, every task that waits on it or is being run is "
    "lost, and every ETA, since a replaced node comes back empty. What is published while it is away goes to "
    "SQS. Set nodes=2 where tasks must not be lost: each publish then returns when the replica has it, too"
)


class BrokerStack(EnvironmentStack):
    """Publishes its address and the ARN of its secret (username and password)."""

    def __init__(self, scope: Construct, id: str, *, settings: Settings, protected: bool) -> None:
        super().__init__(
            scope,
            id,
            settings=settings,
            description="primary broker",
            protected=protected,
        )
        secret = _secret(self, settings)
        group = _replication_group(self, settings, secret, _security_group(self, settings))
        publish(self, settings, "broker-host", group.attr_primary_end_point_address)
        publish(self, settings, "broker-port", group.attr_primary_end_point_port)
        publish(self, settings, "broker-secret-arn", secret.secret_arn)
        publish(self, settings, "broker-group", group.ref)
        publish(
            self, settings, "broker-snapshot", settings.broker.restore_from_snapshot or parameters.NO_SNAPSHOT
        )


def _secret(stack: cdk.Stack, settings: Settings) -> secretsmanager.Secret:
    secret = cache_secret(
        stack,
        settings=settings,
        name=names.broker_secret(settings.name),
        description="The primary broker's user and password; read at run time, so that it can be rotated",
        key=lookup_key(stack, settings),
    )
    acknowledge(
        secret,
        "AwsSolutions-SMG4",
        "An AUTH token is rotated in two steps on the replication group itself (ROTATE, then SET), for which "
        "Secrets Manager has no rotation function: `fleet broker rotate-password` takes both. Every process "
        "reads the secret when it connects, so that it can be rotated at any time without a restart.",
    )
    return secret


def _security_group(stack: cdk.Stack, settings: Settings) -> ec2.SecurityGroup:
    group = ec2.SecurityGroup(
        stack,
        "SecurityGroup",
        vpc=lookup_vpc(stack, settings, vpc_id=lookup(stack, settings, "vpc-id")),
        description="The primary broker: workers, and producers that the settings name",
        allow_all_outbound=False,
    )
    admit(
        group,
        settings.broker.port,
        workers=lookup_workers(stack, settings),
        more=settings.broker.ingress,
        setting="broker.ingress",
    )
    return group


def _replication_group(
    stack: cdk.Stack,
    settings: Settings,
    secret: secretsmanager.Secret,
    security_group: ec2.SecurityGroup,
) -> elasticache.CfnReplicationGroup:
    broker = settings.broker
    group = elasticache.CfnReplicationGroup(
        stack,
        "ReplicationGroup",
        replication_group_id=settings.broker_group,
        replication_group_description=f"Primary broker of Taskfleet {settings.name}",
        engine=broker.engine.value,
        engine_version=broker.engine_version,
        cache_node_type=broker.node_type,
        num_cache_clusters=broker.nodes,
        automatic_failover_enabled=broker.fails_over,
        multi_az_enabled=broker.fails_over,
        port=broker.port,
        auth_token=secret.secret_value_from_json("password").unsafe_unwrap(),  # a dynamic reference
        transit_encryption_enabled=True,
        transit_encryption_mode="required",
        at_rest_encryption_enabled=True,
        kms_key_id=lookup_key(stack, settings).key_arn,
        cache_parameter_group_name=_parameters(stack, settings).ref,
        cache_subnet_group_name=private_subnets(stack, lookup_vpc(stack, settings)).ref,
        security_group_ids=[security_group.security_group_id],
        snapshot_name=broker.restore_from_snapshot,
        snapshot_retention_limit=broker.snapshot_retention_days,
        snapshot_window="03:00-04:00",
        preferred_maintenance_window="sun:04:30-sun:05:30",
        auto_minor_version_upgrade=True,
        log_delivery_configurations=log_deliveries(stack, settings=settings, key=lookup_key(stack, settings)),
    )
    group.apply_removal_policy(stateful(settings))
    if not broker.has_replica:
        cdk.Annotations.of(group).add_warning_v2("taskfleet:one-broker-node", ONE_NODE)
    if not broker.fails_over:
        acknowledge(
            group,
            "AwsSolutions-AEC4",
            "The environment asks for a broker that does not fail over (Broker.nodes=1 or failover=False), "
            "which is cheaper. While its node is away, publishes go to SQS.",
        )
    return group


def _parameters(stack: cdk.Stack, settings: Settings) -> elasticache.CfnParameterGroup:
    broker = settings.broker
    return elasticache.CfnParameterGroup(
        stack,
        "Parameters",
        cache_parameter_group_family=catalogue.parameter_group_family(broker.engine, broker.engine_version),
        description=f"Taskfleet {settings.name}: a broker refuses writes when it is full, it never evicts",
        properties={"maxmemory-policy": "noeviction"},
    )
