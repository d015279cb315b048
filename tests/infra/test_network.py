"""The network stack: private subnets, the way out, flow logs and the key."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from taskfleet.contract import parameters

from infra.rules.endpoints import GATEWAYS, INTERFACES, interfaces
from infra.settings import Capacity, ExistingVpc, Network, Settings
from tests.infra.synthesis import Synthesis, Template, of_type, only, synthesize
from tests.infra.variants import EXISTING
from tests.support import reference as environments

ON_INSTANCES = replace(environments.LOW, helps=(), capacity=Capacity.EC2)
EVERYWHERE = pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)


@pytest.fixture
def endpoints_only(variants: Synthesis) -> Template:
    """The production network, with interface endpoints in place of NAT gateways."""
    return variants.of("endpoints", "network")


@EVERYWHERE
def test_workers_get_one_private_subnet_per_zone(blueprint: Synthesis, settings: Settings) -> None:
    template = blueprint.of(settings.name, "network")
    subnets = of_type(template, "AWS::EC2::Subnet")
    private = {id: subnet for id, subnet in subnets.items() if "private" in id}

    published = json.dumps(base_parameter(template, settings, "private-subnet-ids"))

    assert tuple(one["AvailabilityZone"] for one in private.values()) == settings.network.availability_zones
    assert all(f'"Ref": "{id}"' in published for id in private)
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in subnets.values())


@EVERYWHERE
def test_private_subnets_keep_their_ranges_whatever_the_way_out(
    blueprint: Synthesis, settings: Settings
) -> None:
    subnets = of_type(blueprint.of(settings.name, "network"), "AWS::EC2::Subnet")

    ranges = [subnet["CidrBlock"] for id, subnet in subnets.items() if "private" in id]
    first_two = str(settings.network.block).rpartition(".0.0/16")[0]

    assert ranges == [f"{first_two}.{16 * index}.0/20" for index in range(len(ranges))]


def test_nat_is_one_gateway_per_zone_unless_fewer_are_asked_for(blueprint: Synthesis) -> None:
    def gateways(environment: str) -> int:
        return len(of_type(blueprint.of(environment, "network"), "AWS::EC2::NatGateway"))

    assert (gateways("prod"), gateways("staging"), gateways("dev")) == (3, 2, 1)


def test_without_nat_nothing_reaches_the_internet(endpoints_only: Template, blueprint: Synthesis) -> None:
    for template in (endpoints_only, blueprint.of("local", "network")):
        for type in ("NatGateway", "InternetGateway", "EIP"):
            assert of_type(template, f"AWS::EC2::{type}") == {}


def test_without_nat_every_api_that_is_used_has_an_endpoint_in_every_zone(endpoints_only: Template) -> None:
    endpoints = of_type(endpoints_only, "AWS::EC2::VPCEndpoint").values()
    made = [one for one in endpoints if one["VpcEndpointType"] == "Interface"]

    services = {json.dumps(one["ServiceName"]).strip('"').rpartition("eu-west-1.")[2] for one in made}

    assert len(made) == len(services)
    assert services == {
        "cloudformation", "ecr.api", "ecr.dkr", "ecs", "kms", "logs", "monitoring", "secretsmanager", "sqs",
        "ssm", "sts",
    }  # fmt: skip
    assert all(len(one["SubnetIds"]) == 3 and one["PrivateDnsEnabled"] for one in made)


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        (environments.PROD, set()),
        (replace(environments.PROD, ecs_exec=True), {"ssmmessages"}),
        (environments.DEV, {"ssmmessages"}),
        (replace(environments.PROD, pools=(ON_INSTANCES,)), {"ecs-agent", "ecs-telemetry"}),
    ],
)
def test_shells_and_instances_have_endpoints_where_there_are_such(settings: Settings, more: set[str]) -> None:
    """Each is paid for by the hour, in every zone."""
    rare = {"ssmmessages", "ecs-agent", "ecs-telemetry"}

    assert set(interfaces(settings).values()) & rare == more
    assert set(interfaces(settings).values()) | rare == set(INTERFACES.values())


def test_endpoints_admit_the_workers_alone(endpoints_only: Template) -> None:
    (rule,) = of_type(endpoints_only, "AWS::EC2::SecurityGroupIngress").values()

    assert rule["FromPort"] == rule["ToPort"] == 443
    assert "Workers" in json.dumps(rule["SourceSecurityGroupId"])


@EVERYWHERE
def test_the_free_endpoints_are_everywhere(blueprint: Synthesis, settings: Settings) -> None:
    endpoints = of_type(blueprint.of(settings.name, "network"), "AWS::EC2::VPCEndpoint").values()

    assert len([one for one in endpoints if one["VpcEndpointType"] == "Gateway"]) == len(GATEWAYS)


def test_to_an_existing_vpc_only_what_it_lacks_is_added(variants: Synthesis) -> None:
    template = variants.of("existing", "network")
    vpc = EXISTING.network.existing
    assert vpc is not None
    made = of_type(template, "AWS::EC2::VPCEndpoint").values()
    names = {json.dumps(one["ServiceName"]).strip('"').rpartition("eu-west-1.")[2] for one in made}
    types = {resource["Type"] for resource in template["Resources"].values()}

    assert names >= set(interfaces(EXISTING).values()) - set(vpc.endpoints)
    assert not names & set(vpc.endpoints)
    assert all(one["VpcId"] == vpc.id for one in made)
    assert types & {"AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::Route", "AWS::EC2::FlowLog"} == set()
    assert base_parameter(template, EXISTING, "private-subnet-ids") == ",".join(vpc.subnet_ids)


TAGGED = ExistingVpc(id="vpc-0123456789abcdef0", subnet_tag="Tier=private")
ASKED = (
    f"vpc-provider:account={environments.DEV.account}:filter.vpc-id={TAGGED.id}:region=eu-west-1:"
    "returnAsymmetricSubnets=true:subnetGroupNameTag=Tier"
)


def tagged(tmp_path: Path, *zones: str, tier: str = "private") -> Synthesis:
    """`dev` in a VPC of which AWS once said that it has these subnets."""
    network = Network(existing=TAGGED, availability_zones=environments.ZONES[:2])
    subnets = [
        {"subnetId": f"subnet-0000000{zone[-1]}", "availabilityZone": zone, "routeTableId": "rtb-00000001"}
        for zone in zones
    ]
    answer = {"vpcId": TAGGED.id, "subnetGroups": [{"name": tier, "type": "Private", "subnets": subnets}]}
    settings = replace(environments.DEV, network=network)
    return synthesize(tmp_path, [settings], {"env": "dev", **({ASKED: answer} if zones else {})})


def test_subnets_are_looked_up_by_their_tag_where_that_is_asked_for(tmp_path: Path) -> None:
    template = tagged(tmp_path, "eu-west-1b", "eu-west-1a", "eu-west-1c").of("dev", "network")
    gateways = of_type(template, "AWS::EC2::VPCEndpoint").values()

    given = base_parameter(template, environments.DEV, "private-subnet-ids")
    assert given == "subnet-0000000a,subnet-0000000b", "in the order of the zones"
    assert [one["RouteTableIds"] for one in gateways] == [["rtb-00000001"]] * 2


def test_before_aws_was_asked_synth_goes_through_so_that_the_cdk_can_ask(tmp_path: Path) -> None:
    tagged(tmp_path)

    manifests = [json.loads(file.read_text()) for file in tmp_path.rglob("manifest.json")]
    missing = [one for manifest in manifests for one in manifest.get("missing", [])]
    assert {one["key"] for one in missing} == {ASKED}


def test_a_zone_without_a_tagged_subnet_is_said(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"one subnet of vpc-0123456789abcdef0 .* found: subnet-0000000a in"):
        tagged(tmp_path, "eu-west-1a", "eu-west-1c")


@EVERYWHERE
def test_flow_logs_are_written_encrypted_and_not_for_ever(blueprint: Synthesis, settings: Settings) -> None:
    template = blueprint.of(settings.name, "network")
    flow_log = only(template, "AWS::EC2::FlowLog")
    group = only(template, "AWS::Logs::LogGroup")

    assert flow_log["TrafficType"] == "ALL"
    assert group["RetentionInDays"] == settings.network.flow_log_retention_days
    assert "Key" in json.dumps(group["KmsKeyId"])


@EVERYWHERE
def test_nothing_comes_in_to_the_workers(blueprint: Synthesis, settings: Settings) -> None:
    template = blueprint.of(settings.name, "network")
    (workers,) = [
        group
        for id, group in of_type(template, "AWS::EC2::SecurityGroup").items()
        if id.startswith("Workers")
    ]
    targets = [rule["GroupId"] for rule in of_type(template, "AWS::EC2::SecurityGroupIngress").values()]

    assert "SecurityGroupIngress" not in workers
    assert not any("Workers" in json.dumps(target) for target in targets)


def test_the_default_security_group_is_closed_in_aws(blueprint: Synthesis) -> None:
    for environment, closed in (("local", 0), ("dev", 1), ("staging", 1), ("prod", 1)):
        template = blueprint.of(environment, "network")
        assert len(of_type(template, "Custom::VpcRestrictDefaultSG")) == closed


@EVERYWHERE
def test_the_key_rotates_and_serves_only_this_account(blueprint: Synthesis, settings: Settings) -> None:
    key = only(blueprint.of(settings.name, "network"), "AWS::KMS::Key")
    statements = {statement["Sid"]: statement for statement in key["KeyPolicy"]["Statement"]}

    assert key["EnableKeyRotation"] is True
    assert set(statements) == {"AccountByIam", "LogGroups", "AlarmsToTopic"}
    assert settings.account in json.dumps(statements["AccountByIam"]["Principal"])
    assert settings.account in json.dumps(statements["LogGroups"]["Condition"])
    assert settings.account in json.dumps(statements["AlarmsToTopic"]["Condition"])
    # Or nobody could ever correct a mistake in this policy (KMS calls it a lockout).
    assert {"kms:PutKeyPolicy", "kms:DescribeKey"} <= set(statements["AccountByIam"]["Action"])


def base_parameter(template: Template, settings: Settings, name: str) -> object:
    """The value that a stack publishes for the releases."""
    (value,) = [
        one["Value"]
        for one in of_type(template, "AWS::SSM::Parameter").values()
        if one["Name"] == parameters.base(settings.name, name)
    ]
    return value
