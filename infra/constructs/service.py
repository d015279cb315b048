"""ECS services: a pool's workers, and the singletons of an environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct
from taskfleet.contract import names

from infra.settings import Capacity, Settings

# A deployment that can't start its tasks fails the stack and goes back to what ran before.
_BREAKER = ecs.DeploymentCircuitBreaker(enable=True, rollback=True)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where services run: private subnets, no public address."""

    cluster: ecs.ICluster
    subnets: Sequence[ec2.ISubnet]
    security_group: ec2.ISecurityGroup
    more_groups: Sequence[ec2.ISecurityGroup] = ()
    allows_exec: bool


def exec_configuration(
    scope: Construct, *, settings: Settings, key_arn: str
) -> ecs.ExecuteCommandConfiguration | None:
    """Shells into containers are encrypted, and what is typed there is kept. None where there are none."""
    if not settings.allows_exec:
        return None
    return ecs.ExecuteCommandConfiguration(
        # By ARN and by name: given the key itself, the CDK would add `kms:*` to the key's policy.
        kms_key=kms.Key.from_key_arn(scope, "ShellKey", key_arn),
        logging=ecs.ExecuteCommandLogging.OVERRIDE,
        log_configuration=ecs.ExecuteCommandLogConfiguration(
            cloud_watch_log_group=logs.LogGroup.from_log_group_name(
                scope, "ShellLogs", names.log_group(settings.name, names.SHELLS)
            ),
            cloud_watch_encryption_enabled=True,
        ),
    )


def worker_service(
    scope: Construct,
    id: str,
    *,
    name: str,
    definition: ecs.TaskDefinition,
    place: Place,
    workers: int | None,
    capacity: Capacity,
    strategies: list[ecs.CapacityProviderStrategy],
) -> ecs.BaseService:
    """A pool's workers. An update starts the new ones before it stops the old.

    ``workers`` is the number after every update of the service. None leaves what scaling has made of it, and
    begins with one; the scalable target raises that to its minimum.
    """
    make = ecs.Ec2Service if capacity is Capacity.EC2 else ecs.FargateService
    return make(
        scope,
        id,
        service_name=name,
        cluster=place.cluster,
        task_definition=definition,
        desired_count=workers,
        min_healthy_percent=100,
        max_healthy_percent=200,
        # Balancing zones would stop busy workers for it.
        availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.DISABLED,
        circuit_breaker=_BREAKER,
        enable_execute_command=place.allows_exec,
        enable_ecs_managed_tags=True,
        propagate_tags=ecs.PropagatedTagSource.SERVICE,
        capacity_provider_strategies=strategies or None,
        vpc_subnets=ec2.SubnetSelection(subnets=list(place.subnets)),
        security_groups=[place.security_group, *place.more_groups],
    )


def singleton_service(
    scope: Construct, id: str, *, name: str, definition: ecs.TaskDefinition, place: Place
) -> ecs.FargateService:
    """One task, never two: an update stops the old one before it starts the new."""
    return ecs.FargateService(
        scope,
        id,
        service_name=name,
        cluster=place.cluster,
        task_definition=definition,
        desired_count=1,
        min_healthy_percent=0,
        max_healthy_percent=100,
        # Balancing zones would start a second task before it stops the first.
        availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.DISABLED,
        circuit_breaker=_BREAKER,
        enable_execute_command=place.allows_exec,
        enable_ecs_managed_tags=True,
        propagate_tags=ecs.PropagatedTagSource.SERVICE,
        vpc_subnets=ec2.SubnetSelection(subnets=list(place.subnets)),
        security_groups=[place.security_group, *place.more_groups],
    )
