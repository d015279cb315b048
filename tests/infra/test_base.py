"""How a release finds the long-lived stacks, and what outlives a stack."""

from __future__ import annotations

import json
from collections.abc import Iterator

import aws_cdk as cdk
import pytest
from taskfleet.contract import names, parameters

from infra.base import lookup, lookup_vpc
from infra.settings import Settings
from tests.infra.synthesis import RELEASE, Synthesis, of_type
from tests.support import reference as environments

EVERYWHERE = pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)
KEPT = pytest.mark.parametrize(
    "settings", [one for one in environments.ALL if one.keep_data], ids=lambda settings: settings.name
)
BASE_STACKS = names.LONG_LIVED

# CloudFormation replaces a resource whose logical id changes: here that would lose what it holds.
# A change of this table is a migration, not a refactoring.
STATEFUL = {
    "network": {"AWS::KMS::Key": {"Key961B73FD"}},
    "broker": {
        "AWS::SecretsManager::Secret": {"SecretA720EF05"},
        "AWS::ElastiCache::ReplicationGroup": {"ReplicationGroup"},
    },
    "fleet": {
        "AWS::DynamoDB::Table": {
            "State1C20CC9A",
            "Tools14E15C69",
            "DeadLettersBBF8BAAB",
            "Etas9BDC05F7",
            "ProducersFC1D7FC0",
        },
        "AWS::SQS::Queue": {
            "Deadhigh12BD5DAB",
            "DeadlowA51BCC5E",
            "Deadetl81DC77BB",
            "DeadpickingB528E133",
            "DeadpackingE61FABAC",
            "Deaddelivery22AAA6EF",
        },
    },
}


@KEPT
@pytest.mark.parametrize("stack", BASE_STACKS)
def test_logical_ids_of_stateful_resources_never_change(
    blueprint: Synthesis, settings: Settings, stack: str
) -> None:
    template = blueprint.of(settings.name, stack)

    assert {type: set(of_type(template, type)) for type in STATEFUL[stack]} == STATEFUL[stack]


@EVERYWHERE
@pytest.mark.parametrize("stack", BASE_STACKS)
def test_data_outlives_its_stack_where_it_is_kept(
    blueprint: Synthesis, settings: Settings, stack: str
) -> None:
    policy = "RetainExceptOnCreate" if settings.keep_data else "Delete"

    for logical_id, resource in blueprint.of(settings.name, stack)["Resources"].items():
        if resource["Type"] in STATEFUL[stack]:
            assert resource["DeletionPolicy"] == policy, logical_id
            assert resource["UpdateReplacePolicy"] == ("Retain" if settings.keep_data else "Delete"), (
                logical_id
            )


@EVERYWHERE
def test_long_lived_stacks_are_protected_where_data_is_kept(blueprint: Synthesis, settings: Settings) -> None:
    manifest = json.loads((blueprint.directory / f"assembly-{settings.name}" / "manifest.json").read_text())
    protected = {
        artifact["properties"]["stackName"]: artifact["properties"].get("terminationProtection", False)
        for artifact in manifest["artifacts"].values()
        if artifact["type"] == "aws:cloudformation:stack"
    }

    assert protected == {
        **{names.stack(settings.name, stack): settings.keep_data for stack in BASE_STACKS},
        names.release_stack(settings.name, RELEASE): False,  # a retired release is a deleted stack
    }


@EVERYWHERE
def test_the_long_lived_stacks_publish_all_that_the_contract_lists(
    blueprint: Synthesis, settings: Settings
) -> None:
    published = [
        parameter["Name"]
        for stack in BASE_STACKS
        for parameter in of_type(blueprint.of(settings.name, stack), "AWS::SSM::Parameter").values()
    ]

    assert sorted(published) == sorted(parameters.base(settings.name, name) for name in parameters.BASE)


@EVERYWHERE
@pytest.mark.parametrize("stack", ["broker", "fleet", f"release-{RELEASE}"])
def test_no_stack_hangs_on_another(blueprint: Synthesis, settings: Settings, stack: str) -> None:
    """An import would keep what it names from changing; a weak reference would not be read again."""
    template = blueprint.of(settings.name, stack)
    text = json.dumps(template)
    looked_up = {
        parameter["Default"]
        for parameter in template["Parameters"].values()
        if parameter["Default"].startswith(parameters.root(settings.name))
    }

    assert "Fn::ImportValue" not in text
    assert "Fn::GetStackOutput" not in text
    assert looked_up <= {parameters.base(settings.name, name) for name in parameters.BASE}
    assert parameters.base(settings.name, "key-arn") in looked_up


@EVERYWHERE
def test_no_stack_exports_anything(blueprint: Synthesis, settings: Settings) -> None:
    for name, template in blueprint.templates.items():
        exports = [output for output in template.get("Outputs", {}).values() if "Export" in output]
        assert exports == [], name


@pytest.mark.parametrize(
    ("stack", "name"),
    [("broker", "key-arn"), ("fleet", "broker-host"), (f"release-{RELEASE}", "broker-host")],
)
def test_a_lookup_is_read_at_each_deploy(blueprint: Synthesis, stack: str, name: str) -> None:
    """The CDK's command line skips a stack whose template is the same, but for one with such parameters."""
    found = blueprint.of("dev", stack)["Parameters"].values()

    (value,) = [one for one in found if one["Default"] == parameters.base("dev", name)]
    assert value["Type"] == "AWS::SSM::Parameter::Value<String>"


def _texts(value: object) -> Iterator[str]:
    """Every text of a template."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value


def test_no_resource_has_a_base_value_that_is_not_read_again(
    blueprint: Synthesis, variants: Synthesis
) -> None:
    """CloudFormation does not update a resource because the value of a dynamic reference has changed."""
    found = [
        (stack, logical_id)
        for synthesis in (blueprint, variants)
        for stack, logical_id, resource in synthesis.resources()
        if any("{{resolve:ssm:" in text for text in _texts(resource))
    ]

    assert found == []


def test_only_the_contracts_names_can_be_looked_up() -> None:
    with pytest.raises(names.InvalidName, match="broker-hots"):
        lookup(cdk.Stack(), environments.DEV, "broker-hots")


def test_the_looked_up_vpc_is_made_once_per_stack() -> None:
    stack = cdk.Stack()

    vpc = lookup_vpc(stack, environments.PROD)

    assert lookup_vpc(stack, environments.PROD).node.path == vpc.node.path
    assert len(vpc.private_subnets) == len(environments.PROD.network.availability_zones)


def test_every_resource_says_what_it_belongs_to(blueprint: Synthesis) -> None:
    tags = {
        tag["Key"]: tag["Value"]
        for tag in of_type(blueprint.of("dev", "network"), "AWS::EC2::VPC").popitem()[1]["Tags"]
    }

    assert (tags["project"], tags["environment"]) == ("taskfleet", "dev")


# Properties by which a resource is found in its whole account and region.
ACCOUNT_WIDE = ("Name", "TableName", "QueueName", "TopicName", "ClusterName", "AlarmName", "DashboardName")
ACCOUNT_WIDE += ("LogGroupName", "AliasName", "ReplicationGroupId", "Family", "RoleName", "ManagedPolicyName")


def test_every_name_that_the_account_sees_starts_with_the_project_and_the_environment(
    blueprint: Synthesis,
) -> None:
    found = {
        (stack.split("-")[1], value)
        for stack, _, resource in blueprint.resources()
        for property, value in resource.get("Properties", {}).items()
        if property in ACCOUNT_WIDE and isinstance(value, str)
    }

    assert len(found) > 100
    for environment, name in found:
        assert name.removeprefix("alias/").replace("/", "-").strip("-").startswith(f"taskfleet-{environment}")
    assert all(stack.startswith("taskfleet-") for stack in blueprint.templates)


# IAM user guide, "IAM identifiers"; CloudFormation, AWS::CloudWatch::Dashboard: "All dashboards in your
# account are global, not region-specific".
ONE_FOR_ALL_REGIONS = {
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
}


def test_a_name_that_the_account_has_once_for_all_regions_has_its_region_in_it(blueprint: Synthesis) -> None:
    """Else one environment in two regions collides in the middle of the second's deploy."""
    found = {
        (stack, str(one["Properties"][name]))
        for type, name in ONE_FOR_ALL_REGIONS.items()
        for stack, _, one in blueprint.resources(type)
        if name in one["Properties"]
    }
    regions = {one.name: one.region for one in environments.ALL}

    assert found
    for stack, name in found:
        assert f"-{regions[stack.split('-')[1]]}" in name, (stack, name)


def test_every_stack_carries_the_tags_that_say_whose_it_is(blueprint: Synthesis) -> None:
    """CloudFormation's own tags of the stack: the CDK gives it none of those that its resources get."""
    for settings in environments.ALL:
        manifest = blueprint.directory / f"assembly-{settings.name}" / "manifest.json"
        for artifact in json.loads(manifest.read_text())["artifacts"].values():
            if artifact["type"] == "aws:cloudformation:stack":
                assert artifact["properties"]["tags"] == names.stack_tags(settings.name)


@pytest.mark.parametrize("stack", BASE_STACKS)
def test_no_setting_moves_a_stateful_resource(variants: Synthesis, stack: str) -> None:
    for variant in ("endpoints", "redis", "nofailover"):
        template = variants.of(variant, stack)
        assert {type: set(of_type(template, type)) for type in STATEFUL[stack]} == STATEFUL[stack], variant
