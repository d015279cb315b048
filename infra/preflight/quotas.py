"""Whether the account's quotas leave room for the environment."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from taskfleet.contract import names

from infra import needs, templates
from infra.preflight.account import unknown
from infra.preflight.finding import Finding, State
from infra.settings import Settings

_USAGE_LOOK_BACK = datetime.timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True)
class Quota:
    """A quota of Service Quotas, and the class of AWS/Usage's ``ResourceCount`` that says what is in use."""

    need: str
    service: str
    code: str
    usage_class: str | None = None


# https://docs.aws.amazon.com/general/latest/gr/ecs-service.html and …/vpc-service.html; the usage metrics:
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/monitoring-fargate-usage.html
QUOTAS = (
    Quota(need=needs.VCPU, service="fargate", code="L-3032A538", usage_class="Standard/OnDemand"),
    Quota(need=needs.SPOT_VCPU, service="fargate", code="L-36FBB829", usage_class="Standard/Spot"),
    Quota(need=needs.ADDRESSES, service="ec2", code="L-0263D0A3"),
    Quota(need=needs.INTERFACES, service="vpc", code="L-DF5E4CA3"),
    Quota(need=needs.RULES, service="vpc", code="L-0EA8095F"),
)


def enough(settings: Settings, session: boto3.Session) -> Iterator[Finding]:
    """One finding for each quota that the environment takes from."""
    needed = {one.what: one for one in needs.needs(templates.templates(settings))}
    for quota in QUOTAS:
        if (need := needed.get(quota.need)) is None:
            continue
        try:
            allowed = _allowed(session, quota)
            yield compare(need, quota, allowed=allowed, taken=_taken(settings, session, quota))
        except (BotoCoreError, ClientError) as error:
            yield unknown(quota.need, error)


def compare(need: needs.Need, quota: Quota, *, allowed: float, taken: float) -> Finding:
    """``taken`` is what others in the account use already: environments, other teams."""
    free = allowed - taken
    found = f"{need}; the quota is {allowed:g}" + (f", {taken:g} in use by others" if taken else "")
    wanted = math.ceil(max(need.full, need.release) + taken)
    run = (
        f"aws service-quotas request-service-quota-increase --service-code {quota.service} "
        f"--quota-code {quota.code} --desired-value {wanted}",
    )
    ask = "ask for more, which is answered within hours to days:"
    found = found.removeprefix(f"{need.what}: ")
    if free < need.rest:
        return Finding(what=need.what, state=State.MISSING, found=found, then=ask, run=run)
    if free < need.release:
        then = f"enough for a first deploy; no room for a second release beside the first: {ask}"
        return Finding(what=need.what, state=State.LOOK, found=found, then=then, run=run)
    if free < need.full:
        then = f"enough for releases; scaling would not reach its full scale: {ask}"
        return Finding(what=need.what, state=State.LOOK, found=found, then=then, run=run)
    return Finding(what=need.what, state=State.OK, found=found)


def _allowed(session: boto3.Session, quota: Quota) -> float:
    client = session.client("service-quotas")
    try:
        found = client.get_service_quota(ServiceCode=quota.service, QuotaCode=quota.code)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchResourceException":
            raise
        # One that was never changed for this account.
        found = client.get_aws_default_service_quota(ServiceCode=quota.service, QuotaCode=quota.code)
    return float(found["Quota"]["Value"])


def _taken(settings: Settings, session: boto3.Session, quota: Quota) -> float:
    """What is in use now, without what this environment has itself."""
    if quota.need == needs.ADDRESSES:
        addresses = session.client("ec2").describe_addresses()["Addresses"]
        return sum(1 for one in addresses if not _is_ours(settings, one.get("Tags", ())))
    if quota.usage_class is None:
        return 0
    used = _in_use(session.client("cloudwatch"), quota.usage_class)
    return max(0.0, used - _own(settings, session, quota))


def _is_ours(settings: Settings, tags: Any) -> bool:
    return any(tag["Key"] == "environment" and tag["Value"] == settings.name for tag in tags)


def _in_use(cloudwatch: Any, usage_class: str) -> float:
    now = datetime.datetime.now(datetime.UTC)
    dimensions = {"Service": "Fargate", "Type": "Resource", "Resource": "vCPU", "Class": usage_class}
    points = cloudwatch.get_metric_statistics(
        Namespace="AWS/Usage",
        MetricName="ResourceCount",
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - _USAGE_LOOK_BACK,
        EndTime=now,
        Period=300,
        Statistics=["Maximum"],
    )["Datapoints"]
    return max((float(point["Maximum"]) for point in points), default=0.0)


def _own(settings: Settings, session: boto3.Session, quota: Quota) -> float:
    """The vCPU that this environment's own tasks have, which its needs count already."""
    ecs, cluster = session.client("ecs"), names.cluster(settings.name)
    spot, units = quota.need == needs.SPOT_VCPU, 0
    try:
        for page in ecs.get_paginator("list_tasks").paginate(
            cluster=cluster, PaginationConfig={"PageSize": 100}
        ):
            tasks = (
                ecs.describe_tasks(cluster=cluster, tasks=page["taskArns"])["tasks"]
                if page["taskArns"]
                else []
            )
            units += sum(
                int(one["cpu"])
                for one in tasks
                if one.get("launchType") != "EC2"
                and (one.get("capacityProviderName") == "FARGATE_SPOT") is spot
            )
    except ecs.exceptions.ClusterNotFoundException:
        return 0.0
    return units / 1024
