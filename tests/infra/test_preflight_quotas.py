"""What preflight finds in use by others, of each quota that an environment takes from."""

from __future__ import annotations

import datetime
from typing import Any

import boto3
import pytest
from taskfleet.contract import names

from infra import needs
from infra.preflight import quotas, usage
from infra.preflight.finding import State
from infra.preflight.quotas import QUOTAS
from infra.settings import Settings
from tests.support import reference as environments

DEV = environments.DEV
TAGS = [{"Key": key, "Value": value} for key, value in names.stack_tags(DEV.name).items()]
STRANGE = [{"Key": "environment", "Value": DEV.name}]  # another project's


def tagged(ec2: Any, id: str, tags: list[dict[str, str]]) -> str:
    ec2.create_tags(Resources=[id], Tags=tags)
    return id


def more(counts: tuple[float, float]) -> float:
    return counts[1] - counts[0]


def by_others(session: boto3.Session, how: usage.ByOthers, settings: Settings = DEV) -> float:
    return how(settings, session)


def test_vpcs_and_addresses_are_ours_by_both_tags(session: boto3.Session) -> None:
    ec2 = session.client("ec2")
    before = [by_others(session, how) for how in (usage.vpcs, usage.addresses)]
    for tags in (TAGS, STRANGE):
        tagged(ec2, ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"], tags)
        tagged(ec2, ec2.allocate_address(Domain="vpc")["AllocationId"], tags)

    after = [by_others(session, how) for how in (usage.vpcs, usage.addresses)]

    assert [more(one) for one in zip(before, after, strict=True)] == [1, 1]


def test_interfaces_are_ours_in_a_vpc_of_ours_or_by_a_security_group_of_ours(session: boto3.Session) -> None:
    ec2 = session.client("ec2")
    before = by_others(session, usage.interfaces)
    for number, tags in enumerate((TAGS, STRANGE)):
        vpc = tagged(ec2, ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]["VpcId"], tags)
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.{number}.1.0/24")["Subnet"]["SubnetId"]
        ec2.create_network_interface(SubnetId=subnet)
        for of_group in (TAGS, STRANGE):
            name = f"{len(of_group)}"
            made = ec2.create_security_group(GroupName=name, Description="x", VpcId=vpc)["GroupId"]
            group = tagged(ec2, made, of_group)
            ec2.create_network_interface(SubnetId=subnet, Groups=[group])

    assert by_others(session, usage.interfaces) - before == 2


def test_alarms_are_ours_by_their_name(session: boto3.Session) -> None:
    cloudwatch = session.client("cloudwatch")
    kind = {
        "MetricName": "x", "Namespace": "x", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0,
        "Statistic": "Sum", "ComparisonOperator": "GreaterThanThreshold",
    }  # fmt: skip
    for name in ("shop-5xx", names.alarm(DEV.name, "no-worker"), names.alarm("staging", "no-worker")):
        cloudwatch.put_metric_alarm(AlarmName=name, **kind)

    assert by_others(session, usage.alarms) == 2


def in_use(session: boto3.Session, service: str, kind: str, value: float) -> None:
    """As AWS/Usage says it."""
    dimensions = {"Service": service, "Type": "Resource", "Resource": "vCPU", "Class": kind}
    session.client("cloudwatch").put_metric_data(
        Namespace="AWS/Usage",
        MetricData=[
            {
                "MetricName": "ResourceCount",
                "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
                "Timestamp": datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=2),
                "Value": value,
            }
        ],
    )


def test_of_ec2_our_own_instances_are_taken_off(session: boto3.Session) -> None:
    ec2 = session.client("ec2")
    for tags in (TAGS, STRANGE):
        made = ec2.create_security_group(GroupName=f"{len(tags)}", Description="x")["GroupId"]
        group = tagged(ec2, made, tags)
        (image, *_) = ec2.describe_images(Owners=["amazon"])["Images"]
        ec2.run_instances(
            ImageId=image["ImageId"],
            InstanceType="m5.large",
            MinCount=1,
            MaxCount=1,
            SecurityGroupIds=[group],
        )
    in_use(session, "EC2", "Standard/OnDemand", 8)

    assert by_others(session, usage.ec2_vcpu) == 8 - 2


@pytest.mark.parametrize("how", [usage.vcpu, usage.spot_vcpu])
def test_of_fargate_the_usage_metric_says_it(session: boto3.Session, how: usage.ByOthers) -> None:
    kind = "Standard/Spot" if how is usage.spot_vcpu else "Standard/OnDemand"
    in_use(session, "Fargate", kind, 3)

    assert by_others(session, how) == 3


def test_each_need_of_an_environment_has_its_quota() -> None:
    named = (
        needs.VCPU,
        needs.SPOT_VCPU,
        needs.EC2_VCPU,
        needs.VPCS,
        needs.ADDRESSES,
        needs.INTERFACES,
        needs.ALARMS,
        needs.RULES,
    )

    assert [one.need for one in QUOTAS] == list(named)


def test_a_quota_is_asked_for_and_compared_with_what_is_free(session: boto3.Session) -> None:
    ec2 = session.client("ec2")
    for _ in range(4):
        ec2.create_vpc(CidrBlock="10.9.0.0/16")

    (found,) = quotas.enough(DEV, session, [needs.Need.steady(needs.VPCS, 1)])

    assert (found.what, found.state) == ("VPCs", State.MISSING)
    assert found.found == "1; the quota is 5, 5 in use by others"  # the default one is one of them
    assert found.run == (
        "aws service-quotas request-service-quota-increase --service-code vpc --quota-code L-F678F1CE "
        "--desired-value 6",
    )
