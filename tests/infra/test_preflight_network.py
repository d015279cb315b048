"""What preflight says of a team's own VPC, and of what the settings name in it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import boto3
import pytest
from taskfleet.contract import names

from infra.needs import IN_A_SUBNET, Need
from infra.preflight import network
from infra.preflight.finding import Finding, State
from infra.settings import Broker, Egress, ExistingVpc, Network, ResultsCache, Settings
from tests.support import reference as environments

REGION, ZONES = environments.REGION, environments.ZONES[:2]
ADDRESSES = Need(what=IN_A_SUBNET, rest=6, before=7, gate=9, release=12, full=17)
NOWHERE = {"network": "vpc-00000000", "subnet": "subnet-00000000", "group": "sg-00000000"}


@dataclass
class Team:
    """A VPC as a team has one: two private subnets behind a NAT gateway, and a group for HTTPS."""

    ec2: Any
    vpc: str
    subnets: tuple[str, str]
    table: str
    public: str
    https: str
    gateways: dict[str, str] = field(default_factory=dict)

    def settings(self, egress: Egress = Egress.NAT, **existing: Any) -> Settings:
        """`dev` in it."""
        named = {"subnet_ids": self.subnets} if "subnet_tag" not in existing else {}
        vpc = ExistingVpc(**{"id": self.vpc, **named, **existing})
        return replace(
            environments.DEV, network=Network(existing=vpc, availability_zones=ZONES, egress=egress)
        )

    def endpoint(self, service: str, **more: Any) -> str:
        kind = {"RouteTableIds": [self.table], "VpcEndpointType": "Gateway"}
        if service not in ("s3", "dynamodb"):
            kind = {
                "VpcEndpointType": "Interface",
                "SubnetIds": list(self.subnets),
                "SecurityGroupIds": [self.https],
                "PrivateDnsEnabled": True,
            }
        made = self.ec2.create_vpc_endpoint(
            VpcId=self.vpc, ServiceName=f"com.amazonaws.{REGION}.{service}", **{**kind, **more}
        )
        return str(made["VpcEndpoint"]["VpcEndpointId"])


@pytest.fixture
def team(session: boto3.Session) -> Team:
    ec2 = session.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    for name in ("EnableDnsSupport", "EnableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=vpc, **{name: {"Value": True}})
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    subnets = []
    for number, zone in enumerate(ZONES):
        block = f"10.99.{number}.0/24"
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=zone)["Subnet"]["SubnetId"]
        ec2.create_tags(Resources=[subnet], Tags=[{"Key": "Tier", "Value": "private"}])
        ec2.associate_route_table(SubnetId=subnet, RouteTableId=table)
        subnets.append(subnet)
    public = ec2.create_subnet(VpcId=vpc, CidrBlock="10.99.9.0/24", AvailabilityZone=ZONES[0])["Subnet"]
    nat = ec2.create_nat_gateway(SubnetId=public["SubnetId"], AllocationId=_address(ec2))["NatGateway"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat["NatGatewayId"])
    https = ec2.create_security_group(GroupName="https", Description="https", VpcId=vpc)["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.99.0.0/16"}]}
    ec2.authorize_security_group_ingress(GroupId=https, IpPermissions=[rule])
    return Team(ec2, vpc, (subnets[0], subnets[1]), table, public["SubnetId"], https)


def _address(ec2: Any) -> str:
    return str(ec2.allocate_address(Domain="vpc")["AllocationId"])


def said(settings: Settings, session: boto3.Session) -> list[Finding]:
    """All that is not well."""
    return [one for one in network.fits(settings, session, ADDRESSES) if one.state is not State.OK]


def only(settings: Settings, session: boto3.Session) -> Finding:
    (found,) = said(settings, session)
    return found


def test_a_vpc_that_is_as_the_settings_say_is_well(team: Team, session: boto3.Session) -> None:
    for service in ("s3", "sqs"):
        team.endpoint(service)
    found = list(network.fits(team.settings(endpoints=("s3", "sqs")), session, ADDRESSES))

    assert [(one.what, one.state) for one in found] == [
        (what, State.OK) for what in ("VPC", "subnets", "way out", "endpoints")
    ]
    assert said(team.settings(subnet_tag="Tier=private", endpoints=("s3",)), session) == []


def test_one_that_does_not_exist_comes_with_those_that_do(team: Team, session: boto3.Session) -> None:
    found = only(team.settings(id=NOWHERE["network"]), session)

    assert (found.what, found.state) == ("VPC", State.MISSING)
    assert team.vpc in found.then


def test_without_dns_no_endpoint_has_a_name(team: Team, session: boto3.Session) -> None:
    team.ec2.modify_vpc_attribute(VpcId=team.vpc, EnableDnsHostnames={"Value": False})

    found = only(team.settings(), session)

    assert found.state is State.MISSING
    assert found.run == (f"aws ec2 modify-vpc-attribute --vpc-id {team.vpc} --enable-dns-hostnames",)


def test_subnets_exist_one_in_each_zone(team: Team, session: boto3.Session) -> None:
    first, second = team.subnets
    lost = only(team.settings(subnet_ids=(first, NOWHERE["subnet"])), session)
    swapped = only(team.settings(subnet_ids=(second, first)), session)
    untagged = [one for one in said(team.settings(subnet_tag="Tier=web"), session) if one.what == "subnets"]

    assert (lost.state, NOWHERE["subnet"] in lost.found, second in lost.then) == (State.MISSING, True, True)
    assert swapped.found.startswith(f"they are in {ZONES[1]}, {ZONES[0]}")
    assert [one.state for one in untagged] == [State.MISSING]


@pytest.mark.parametrize(
    ("others", "own", "state"),
    [
        (0, 0, State.LOOK),  # eleven of a /28 are free, and a second release takes twelve
        (5, 0, State.MISSING),
        (0, 5, State.LOOK),  # what the environment has already is none that it lacks
    ],
)
def test_a_subnet_has_room_for_what_takes_an_address(
    team: Team, session: boto3.Session, others: int, own: int, state: State
) -> None:
    small = team.ec2.create_subnet(VpcId=team.vpc, CidrBlock="10.99.8.0/28", AvailabilityZone=ZONES[0])
    subnet = small["Subnet"]["SubnetId"]
    team.ec2.associate_route_table(SubnetId=subnet, RouteTableId=team.table)
    mine = team.ec2.create_security_group(GroupName="workers", Description="x", VpcId=team.vpc)["GroupId"]
    tags = [{"Key": key, "Value": value} for key, value in names.stack_tags("dev").items()]
    team.ec2.create_tags(Resources=[mine], Tags=tags)
    for group in [team.https] * others + [mine] * own:
        team.ec2.create_network_interface(SubnetId=subnet, Groups=[group])

    found = only(team.settings(subnet_ids=(subnet, team.subnets[1])), session)

    assert (found.what, found.state) == ("subnets", state)
    assert found.found == f"{subnet} has room for {11 - others} addresses"
    assert "9 in a first release's gate" in found.then


def test_private_subnets_have_the_way_out_that_the_settings_say(team: Team, session: boto3.Session) -> None:
    gateway = team.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    team.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=team.vpc)
    team.ec2.replace_route(RouteTableId=team.table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    public = only(team.settings(), session)
    team.ec2.delete_route(RouteTableId=team.table, DestinationCidrBlock="0.0.0.0/0")
    closed = only(team.settings(), session)

    assert (public.what, public.state, closed.state) == ("way out", State.MISSING, State.MISSING)
    assert "straight to an internet gateway" in public.found
    assert "no route to the internet" in closed.found
    assert said(team.settings(Egress.ENDPOINTS, route_table_ids=(team.table,) * 2), session) == []


def test_endpoints_that_are_named_are_there_and_usable(team: Team, session: boto3.Session) -> None:
    missing = only(team.settings(endpoints=("sqs",)), session)
    team.endpoint("sqs", PrivateDnsEnabled=False)
    silent = only(team.settings(endpoints=("sqs",)), session)
    bare = team.ec2.create_security_group(GroupName="bare", Description="bare", VpcId=team.vpc)["GroupId"]
    team.endpoint("ecr.api", SecurityGroupIds=[bare])
    shut = only(team.settings(endpoints=("ecr.api",)), session)

    assert (missing.what, missing.state, missing.found) == ("endpoint sqs", State.MISSING, "the VPC has none")
    assert (silent.state, "no private DNS" in silent.found) == (State.LOOK, True)
    assert (shut.state, "on port 443" in shut.found) == (State.LOOK, True)


def test_without_a_way_out_an_endpoint_that_is_of_no_use_is_missing(
    team: Team, session: boto3.Session
) -> None:
    other = team.ec2.create_route_table(VpcId=team.vpc)["RouteTable"]["RouteTableId"]
    team.endpoint("s3", RouteTableIds=[other])
    closed = {"route_table_ids": (team.table,) * 2, "endpoints": ("s3",)}

    found = only(team.settings(Egress.ENDPOINTS, **closed), session)

    assert (found.what, found.state) == ("endpoint s3", State.MISSING)
    assert "in no route table of" in found.found


def test_endpoints_that_a_deploy_would_make_twice_are_to_be_named(team: Team, session: boto3.Session) -> None:
    for service in ("s3", "sqs"):
        team.endpoint(service)

    found = only(team.settings(Egress.ENDPOINTS, route_table_ids=(team.table,) * 2), session)

    assert (found.what, found.state) == ("endpoints", State.MISSING)
    assert found.found == "the VPC has s3, sqs already, and the settings don't name them"


def test_endpoints_that_its_own_stack_made_are_not_made_twice(team: Team, session: boto3.Session) -> None:
    closed = team.settings(Egress.ENDPOINTS, route_table_ids=(team.table,) * 2)
    for service, environment in (("s3", "dev"), ("sqs", "dev"), ("kms", "staging")):
        tags = [{"Key": key, "Value": value} for key, value in names.stack_tags(environment).items()]
        team.ec2.create_tags(Resources=[team.endpoint(service)], Tags=tags)

    assert [one.found for one in said(closed, session)] == [
        "the VPC has kms already, and the settings don't name them"
    ]

    named = team.settings(
        Egress.ENDPOINTS, route_table_ids=(team.table,) * 2, endpoints=("s3", "dynamodb", "kms")
    )
    assert "taskfleet-dev-network, which deletes it" in next(
        one.found for one in said(named, session) if one.what == "endpoint s3"
    )


def test_a_route_table_that_is_not_the_subnets_own_is_named(team: Team, session: boto3.Session) -> None:
    other = team.ec2.create_route_table(VpcId=team.vpc)["RouteTable"]["RouteTableId"]

    found = only(team.settings(route_table_ids=(team.table, other)), session)

    assert (found.what, found.state) == ("route tables", State.LOOK)
    assert found.found == f"that of {team.subnets[1]} is {team.table}, not {other}"


def test_security_groups_exist_and_a_pools_are_of_its_vpc(team: Team, session: boto3.Session) -> None:
    elsewhere = team.ec2.create_vpc(CidrBlock="10.98.0.0/16")["Vpc"]["VpcId"]
    strange = team.ec2.create_security_group(GroupName="x", Description="x", VpcId=elsewhere)["GroupId"]
    mine = team.settings()
    high, low, *_ = mine.pools
    low = replace(low, security_groups=(strange, team.https))
    settings = replace(mine, pools=(high, low), broker=Broker(nodes=1, ingress=(strange, NOWHERE["group"])))

    lost, other = said(settings, session)

    assert lost.found == f"there is no {NOWHERE['group']} in {REGION}"
    assert other.found == f"{strange}: of another VPC than {team.vpc}"
    assert {lost.state, other.state} == {State.MISSING}


@pytest.mark.parametrize(
    "admits",
    [
        {"broker": Broker(nodes=1, ingress=(NOWHERE["group"],))},
        {"metrics_from": (NOWHERE["group"], "10.8.0.0/20")},
        {"results": ResultsCache(ingress=(NOWHERE["group"],))},
    ],
    ids=lambda admits: next(iter(admits)),
)
def test_every_security_group_that_is_admitted_exists(
    team: Team, session: boto3.Session, admits: dict[str, Any]
) -> None:
    (lost,) = said(replace(team.settings(), **admits), session)

    assert (lost.what, lost.state) == ("security groups", State.MISSING)
    assert lost.found == f"there is no {NOWHERE['group']} in {REGION}"


def test_a_vpc_of_its_own_whose_addresses_somebody_has_can_not_be_peered(
    team: Team, session: boto3.Session
) -> None:
    fine = replace(environments.DEV, network=Network(cidr="10.97.0.0/16", availability_zones=ZONES))
    same = replace(environments.DEV, network=Network(cidr="10.99.0.0/16", availability_zones=ZONES))

    assert said(fine, session) == []
    found = only(same, session)
    assert (found.state, f"{team.vpc} (10.99.0.0/16)" in found.found) == (State.LOOK, True)
