"""How a release finds the long-lived stacks, and what outlives a stack."""

from __future__ import annotations

import json

import aws_cdk as cdk
import pytest
from taskfleet.contract import names, parameters

from infra import environments
from infra.base import lookup, lookup_vpc
from infra.settings import Settings
from tests.infra.synthesis import RELEASE, Synthesis, of_type

EVERYWHERE = pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)
KEPT = pytest.mark.parametrize(
    "settings", [one for one in environments.ALL if one.keep_data], ids=lambda settings: settings.name
)
BASE_STACKS = ("network", "broker", "fleet")

# CloudFormation replaces a resource whose logical id changes: here that would lose what it holds.
# A change of this table is a migration, not a refactoring.
STATEFUL = {
    "network": {"AWS::KMS::Key": {"Key961B73FD"}},
    "broker": {
        "AWS::SecretsManager::Secret": {"SecretA720EF05"},
        "AWS::ElastiCache::ReplicationGroup": {"ReplicationGroup"},
    },
    "fleet": {
        "AWS::DynamoDB::Table": {"State1C20CC9A", "DeadLettersBBF8BAAB"},
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
    policy = "Retain" if settings.keep_data else "Delete"

    for logical_id, resource in blueprint.of(settings.name, stack)["Resources"].items():
        if resource["Type"] in STATEFUL[stack]:
            assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == (policy, policy), (
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
        **{f"{settings.name}-{stack}": settings.keep_data for stack in BASE_STACKS},
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
def test_a_release_hangs_on_no_other_stack(blueprint: Synthesis, settings: Settings) -> None:
    """An import of an export would keep the base from changing as long as the release lives."""
    template = blueprint.of(settings.name, f"release-{RELEASE}")
    text = json.dumps(template)
    looked_up = {
        parameter["Default"]
        for parameter in template["Parameters"].values()
        if parameter["Default"].startswith(parameters.root(settings.name))
    }

    assert "Fn::ImportValue" not in text
    assert "Fn::GetStackOutput" not in text
    assert looked_up <= {parameters.base(settings.name, name) for name in parameters.BASE}
    assert parameters.base(settings.name, "broker-host") in looked_up


@EVERYWHERE
def test_no_stack_exports_anything(blueprint: Synthesis, settings: Settings) -> None:
    for name, template in blueprint.templates.items():
        exports = [output for output in template.get("Outputs", {}).values() if "Export" in output]
        assert exports == [], name


def test_a_lookup_is_read_at_each_deploy(blueprint: Synthesis) -> None:
    parameters_of_release = blueprint.of("dev", f"release-{RELEASE}")["Parameters"].values()

    (host,) = [one for one in parameters_of_release if one["Default"] == "/taskfleet/dev/base/broker-host"]
    assert host["Type"] == "AWS::SSM::Parameter::Value<String>"


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


@pytest.mark.parametrize("stack", BASE_STACKS)
def test_no_setting_moves_a_stateful_resource(variants: Synthesis, stack: str) -> None:
    for variant in ("endpoints", "redis", "nofailover"):
        template = variants.of(variant, stack)
        assert {type: set(of_type(template, type)) for type in STATEFUL[stack]} == STATEFUL[stack], variant
