"""Network and broker deployed into a VPC that somebody made before, its subnets looked up by their tag."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import pytest
from taskfleet.contract import names, parameters

from tests.cdk.deploying import Cdk
from tests.local.emulator.account import Account
from tests.support.reference import LOCAL

ZONES = LOCAL.network.availability_zones

# What `app.py` is to a team, without what does not touch the network, and with the settings of this test.
APP = """
from dataclasses import replace
from aws_cdk import App, Environment, Stage
from infra.chosen import LOCAL
from infra.settings import ExistingVpc, Network
from infra.stacks.broker import BrokerStack
from infra.stacks.network import NetworkStack
vpc = ExistingVpc(id="{vpc}", subnet_tag="Tier=private", endpoints=("dynamodb",))
settings = replace(
    LOCAL,
    name="team",
    network=Network(existing=vpc, availability_zones={zones}),
    broker=replace(LOCAL.broker, ingress=("{web}", "10.8.0.0/20")),
)
app = App()
stage = Stage(app, "team", env=Environment(account=settings.account, region=settings.region))
network = NetworkStack(stage, "network", settings=settings, protected=False)
broker = BrokerStack(stage, "broker", settings=settings, protected=False)
broker.add_stack_dependency(network)
app.synth()
"""


@dataclass(frozen=True)
class Vpc:
    """``subnets`` by zone, ``web`` is a security group in it."""

    id: str
    subnets: dict[str, str]
    table: str
    web: str


@pytest.fixture(scope="module")
def vpc(account: Account) -> Vpc:
    """Two private subnets with one route table, and one of another tier that must not be taken."""
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    subnets = {}
    for number, (zone, tier) in enumerate([*((zone, "private") for zone in ZONES), (ZONES[0], "data")]):
        block = f"10.99.{number}.0/24"
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=zone)["Subnet"]["SubnetId"]
        ec2.create_tags(Resources=[subnet], Tags=[{"Key": "Tier", "Value": tier}])
        ec2.associate_route_table(SubnetId=subnet, RouteTableId=table)
        subnets.setdefault(zone, subnet)
    web = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
    return Vpc(vpc, subnets, table, web)


@pytest.fixture(scope="module")
def deployed(cdk: Cdk, vpc: Vpc, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("team") / "app.py"
    file.write_text(APP.format(vpc=vpc.id, zones=tuple(ZONES), web=vpc.web))
    app = f"{sys.executable} {file}"
    assert cdk.run("deploy", "team/*", "--require-approval", "never", "--app", app) == 0, cdk.output


def _parameter(account: Account, name: str) -> str:
    found = account.client("ssm").get_parameter(Name=parameters.base("team", name))
    return str(found["Parameter"]["Value"])


def _resources(account: Account, part: str, type: str) -> list[str]:
    stack = names.stack("team", part)
    found = account.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    return [one["PhysicalResourceId"] for one in found if one["ResourceType"] == type]


def test_the_base_is_deployed_into_the_tagged_subnets_of_a_vpc_that_exists(
    deployed: None, account: Account, vpc: Vpc
) -> None:
    assert _parameter(account, "vpc-id") == vpc.id
    assert _parameter(account, "private-subnet-ids") == ",".join(vpc.subnets[zone] for zone in ZONES)
    assert _resources(account, "network", "AWS::EC2::VPC") == []
    (endpoint,) = _resources(account, "network", "AWS::EC2::VPCEndpoint")
    (found,) = account.client("ec2").describe_vpc_endpoints(VpcEndpointIds=[endpoint])["VpcEndpoints"]
    assert (found["ServiceName"].rpartition(".")[2], found["VpcId"]) == ("s3", vpc.id)
    assert found["RouteTableIds"] == [vpc.table]


def test_the_broker_admits_the_workers_and_whom_the_settings_name(
    deployed: None, account: Account, vpc: Vpc
) -> None:
    (broker,) = _resources(account, "broker", "AWS::EC2::SecurityGroup")
    (group,) = account.client("ec2").describe_security_groups(GroupIds=[broker])["SecurityGroups"]
    rules: list[dict[str, Any]] = group["IpPermissions"]
    admitted = {
        *(pair["GroupId"] for rule in rules for pair in rule["UserIdGroupPairs"]),
        *(range["CidrIp"] for rule in rules for range in rule["IpRanges"]),
    }

    assert group["VpcId"] == vpc.id
    assert admitted == {_parameter(account, "worker-security-group-id"), vpc.web, "10.8.0.0/20"}
    assert {rule["FromPort"] for rule in rules} == {LOCAL.broker.port}
