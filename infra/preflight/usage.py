"""What others in the account have in use of its quotas: everything but what this environment has itself."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import boto3
from taskfleet.contract import names

from infra.preflight import vpc
from infra.rules.capacity import vcpus
from infra.settings import Settings

ByOthers = Callable[[Settings, boto3.Session], float]

_RUNNING = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
_LOOK_BACK = datetime.timedelta(minutes=30)


def vcpu(settings: Settings, session: boto3.Session) -> float:
    """Of Fargate on demand."""
    return _vcpu(settings, session, spot=False)


def spot_vcpu(settings: Settings, session: boto3.Session) -> float:
    """Of Fargate Spot."""
    return _vcpu(settings, session, spot=True)


def ec2_vcpu(settings: Settings, session: boto3.Session) -> float:
    """Of standard instances on demand."""
    ec2 = session.client("ec2")
    groups = vpc.own_groups(settings, ec2)
    found = vpc.every(ec2, "describe_instances", "Reservations", Filters=_RUNNING)
    own = sum(
        vcpus(one["InstanceType"])
        for reservation in found
        for one in reservation["Instances"]
        if groups & {group["GroupId"] for group in one["SecurityGroups"]}
    )
    return max(0.0, _in_use(session.client("cloudwatch"), "EC2", "Standard/OnDemand") - own)


def vpcs(settings: Settings, session: boto3.Session) -> float:
    """The region's."""
    return _not_ours(settings, vpc.every(session.client("ec2"), "describe_vpcs", "Vpcs"))


def addresses(settings: Settings, session: boto3.Session) -> float:
    """Elastic IP addresses."""
    return _not_ours(settings, session.client("ec2").describe_addresses()["Addresses"])


def interfaces(settings: Settings, session: boto3.Session) -> float:
    """Network interfaces, those that AWS's services made included."""
    ec2 = session.client("ec2")
    found = vpc.every(ec2, "describe_network_interfaces", "NetworkInterfaces")
    return len(found) - len(vpc.own_interfaces(settings, ec2, found))


def alarms(settings: Settings, session: boto3.Session) -> float:
    """Metric alarms and composite ones, which share a quota."""
    pages = session.client("cloudwatch").get_paginator("describe_alarms")
    found = [
        one["AlarmName"]
        for page in pages.paginate(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        for one in (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ()))
    ]
    return sum(not name.startswith(names.alarm(settings.name, "")) for name in found)


def _not_ours(settings: Settings, found: Collection[Mapping[str, Any]]) -> int:
    return sum(not vpc.is_ours(settings, one) for one in found)


def _vcpu(settings: Settings, session: boto3.Session, *, spot: bool) -> float:
    used = _in_use(session.client("cloudwatch"), "Fargate", "Standard/Spot" if spot else "Standard/OnDemand")
    return max(0.0, used - _own(settings, session.client("ecs"), spot=spot))


def _in_use(cloudwatch: Any, service: str, usage_class: str) -> float:
    """As AWS/Usage says it, for Fargate and EC2 alike.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/monitoring-fargate-usage.html.
    """
    now = datetime.datetime.now(datetime.UTC)
    dimensions = {"Service": service, "Type": "Resource", "Resource": "vCPU", "Class": usage_class}
    points = cloudwatch.get_metric_statistics(
        Namespace="AWS/Usage",
        MetricName="ResourceCount",
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - _LOOK_BACK,
        EndTime=now,
        Period=300,
        Statistics=["Maximum"],
    )["Datapoints"]
    return max((float(point["Maximum"]) for point in points), default=0.0)


def _own(settings: Settings, ecs: Any, *, spot: bool) -> float:
    """The vCPU that this environment's own tasks have, which its needs count already."""
    cluster = names.cluster(settings.name)
    pages = ecs.get_paginator("list_tasks").paginate(cluster=cluster, PaginationConfig={"PageSize": 100})
    try:
        arns = [page["taskArns"] for page in pages if page["taskArns"]]
    except ecs.exceptions.ClusterNotFoundException:
        return 0.0
    tasks: Iterable[Mapping[str, Any]] = (
        one for some in arns for one in ecs.describe_tasks(cluster=cluster, tasks=some)["tasks"]
    )
    units = sum(
        int(one["cpu"])
        for one in tasks
        if one.get("launchType") != "EC2" and (one.get("capacityProviderName") == "FARGATE_SPOT") is spot
    )
    return units / 1024
