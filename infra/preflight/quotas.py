"""Whether the account's quotas leave room for the environment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra import needs
from infra.preflight import usage
from infra.preflight.account import unknown
from infra.preflight.finding import Finding, State
from infra.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Quota:
    """A quota of Service Quotas, and what others have of it in use (None: it is one for each thing)."""

    need: str
    service: str
    code: str
    by_others: usage.ByOthers | None = None


# Named by https://docs.aws.amazon.com/general/latest/gr/ecs-service.html, …/vpc-service.html and
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html, without their codes,
# which are what public tools ask for. That of alarms has one such source (aws-quota-checker): a wrong code is
# `unknown`, and stops nothing.
QUOTAS = (
    Quota(need=needs.VCPU, service="fargate", code="L-3032A538", by_others=usage.vcpu),
    Quota(need=needs.SPOT_VCPU, service="fargate", code="L-36FBB829", by_others=usage.spot_vcpu),
    Quota(need=needs.EC2_VCPU, service="ec2", code="L-1216C47A", by_others=usage.ec2_vcpu),
    Quota(need=needs.VPCS, service="vpc", code="L-F678F1CE", by_others=usage.vpcs),
    Quota(need=needs.ADDRESSES, service="ec2", code="L-0263D0A3", by_others=usage.addresses),
    Quota(need=needs.INTERFACES, service="vpc", code="L-DF5E4CA3", by_others=usage.interfaces),
    Quota(need=needs.ALARMS, service="monitoring", code="L-2FF78D7B", by_others=usage.alarms),
    Quota(need=needs.RULES, service="vpc", code="L-0EA8095F"),
)


def enough(settings: Settings, session: boto3.Session, needed: Iterable[needs.Need]) -> Iterator[Finding]:
    """One finding for each quota that the environment takes from."""
    by_what = {one.what: one for one in needed}
    for quota in QUOTAS:
        if (need := by_what.get(quota.need)) is None:
            continue
        try:
            taken = quota.by_others(settings, session) if quota.by_others else 0
            yield compare(need, quota, allowed=_allowed(session, quota), taken=taken)
        except (BotoCoreError, ClientError) as error:
            asked = unknown(need.what, error)
            yield replace(asked, found=f"{_counts(need)}; the quota {asked.found}")


def compare(need: needs.Need, quota: Quota, *, allowed: float, taken: float) -> Finding:
    """``taken`` is what others in the account use already: environments, other teams."""
    by_others = f", {taken:g} in use by others" if taken else ""
    found = f"{_counts(need)}; the quota is {allowed:g}{by_others}"
    short = _short(need, allowed - taken)
    if short is None:
        return Finding(what=need.what, state=State.OK, found=found)
    state, why = short
    run = (
        f"aws service-quotas request-service-quota-increase --service-code {quota.service} "
        f"--quota-code {quota.code} --desired-value {math.ceil(need.most + taken)}",
    )
    then = f"{why}: ask for more, which is answered within hours to days:"
    return Finding(what=need.what, state=state, found=found, then=then, run=run)


def _counts(need: needs.Need) -> str:
    return str(need).removeprefix(f"{need.what}: ")


def _short(need: needs.Need, free: float) -> tuple[State, str] | None:
    """What there is no room for, and what that means for a deploy; None if there is for all."""
    if free < need.before:
        return State.MISSING, "not enough for a first deploy"
    if free < need.gate:
        return State.LOOK, (
            "enough for a first deploy, but in its gate workers on SQS would have to wait for each other, "
            "which its deadline may not allow"
        )
    if free < need.release:
        return State.LOOK, "enough for a first deploy; no room for a second release beside the first"
    if free < need.full:
        return State.LOOK, "enough for releases; scaling would not reach its full scale"
    return None


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
