"""ECS capacity providers, for pools that run on EC2 or on Fargate Spot."""

from __future__ import annotations

import json

from ministack.services import autoscaling as ec2_autoscaling
from ministack.services import ecs

from local.emulator.shims import table
from local.emulator.shims.table import Made, Properties


def _group_arn(reference: str) -> str:
    """The group's ARN; templates may also give its name."""
    group = ec2_autoscaling._asgs.get(reference)
    return str(group["AutoScalingGroupARN"]) if group else reference


def _provider_create(logical_id: str, properties: Properties, stack_name: str) -> Made:
    name = properties.get("Name") or table.physical_name(stack_name, logical_id)
    wanted = table.api_input("ecs", "CreateCapacityProvider", {**properties, "Name": name})
    provider = wanted.get("autoScalingGroupProvider", {})
    provider["autoScalingGroupArn"] = _group_arn(provider.get("autoScalingGroupArn", ""))
    status, _, body = ecs._create_capacity_provider(wanted)
    if status >= 400:
        raise ValueError(json.loads(body)["message"])
    ecs._capacity_providers[name]["autoScalingGroupProvider"] = provider
    return name, {}


def _provider_update(name: str, old: Properties, new: Properties, stack_name: str, logical_id: str) -> Made:
    provider = table.api_input("ecs", "CreateCapacityProvider", {**new, "Name": name})[
        "autoScalingGroupProvider"
    ]
    known = ecs._capacity_providers[name]["autoScalingGroupProvider"]
    known.update({key: value for key, value in provider.items() if key != "autoScalingGroupArn"})
    return name, {}


def _provider_delete(name: str, properties: Properties) -> None:
    ecs._capacity_providers.pop(name, None)


def _association_put(properties: Properties) -> Made:
    wanted = table.api_input("ecs", "PutClusterCapacityProviders", properties)
    status, _, body = ecs._put_cluster_capacity_providers(wanted)
    if status >= 400:
        raise ValueError(f"The cluster {wanted['cluster']} does not exist: {body!r}")
    return str(properties["Cluster"]), {}


def _association_delete(cluster: str, properties: Properties) -> None:
    ecs._put_cluster_capacity_providers({"cluster": cluster})


def register() -> None:
    """Add AWS::ECS::CapacityProvider and AWS::ECS::ClusterCapacityProviderAssociations."""
    table.add(
        "AWS::ECS::CapacityProvider",
        create=_provider_create,
        update=_provider_update,
        delete=_provider_delete,
        replaced_by=("Name",),
    )
    table.add(
        "AWS::ECS::ClusterCapacityProviderAssociations",
        create=lambda logical_id, properties, stack_name: _association_put(properties),
        update=lambda cluster, old, new, stack_name, logical_id: _association_put(new),
        delete=_association_delete,
        replaced_by=("Cluster",),
    )
