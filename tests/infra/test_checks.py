"""The checks find what they are for, and find nothing in the blueprint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_iam as iam_resources
from aws_cdk import aws_sqs as sqs

from infra.checks import guard, iam, iam_sizes, ledger, lint, nag
from infra.rules.variables import OURS_BYTES
from tests.infra.synthesis import FLAGS, Synthesis, synthesize
from tests.infra.variants import EXISTING
from tests.support import reference as environments

GOOD_BROKER = {
    "replication_group_description": "x",
    "engine": "valkey",
    "engine_version": "8.1",
    "cache_node_type": "cache.r7g.large",
    "num_cache_clusters": 2,
    "automatic_failover_enabled": True,
    "transit_encryption_enabled": True,
    "auth_token": "x" * 16,
}


# Stack → what is wrong with its broker, and the rule that must say so.
WRONG_BROKERS: dict[str, tuple[Mapping[str, Any], str]] = {
    "NoSuchValkey": ({"engine_version": "8.7"}, "taskfleet_broker_valkey_version_exists"),
    "NoSuchRedis": ({"engine": "redis", "engine_version": "7.2"}, "taskfleet_broker_redis_version_exists"),
    "NoSuchNode": ({"cache_node_type": "cache.r7g.huge"}, "taskfleet_broker_node_type_exists"),
    "LoneNode": ({"num_cache_clusters": 1}, "taskfleet_broker_failover_needs_two_nodes"),
    "NoTls": ({"transit_encryption_enabled": False}, "taskfleet_broker_auth_needs_tls"),
}
# The same for everything else.
WRONG = {
    **{stack: rule for stack, (_, rule) in WRONG_BROKERS.items()},
    "Evicting": "taskfleet_broker_never_evicts",
    "Stubborn": "taskfleet_results_go_oldest_first",
    "Negative": "taskfleet_desired_count_not_negative",
    "Misspelt": "F3002",  # of the CDK's own rules, which must stay on beside ours
    "Unexplained": "AwsSolutions-SQS3",
    **dict.fromkeys(("LargeRole", "LargePolicy", "TrustsMany", "ManyPolicies"), "taskfleet_iam_limits"),
}


def _too_large_for_iam(app: cdk.App) -> None:
    """A role's statement that the CDK can't split, a managed policy, a trust policy, and eleven policies."""
    service = iam_resources.ServicePrincipal("ecs-tasks.amazonaws.com")

    def role(stack: str, **given: Any) -> iam_resources.Role:
        return iam_resources.Role(cdk.Stack(app, stack), "Role", **{"assumed_by": service, **given})

    def large(count: int) -> iam_resources.PolicyStatement:
        buckets = [f"arn:aws:s3:::a-bucket-of-a-team-{number:04}/reports" for number in range(count)]
        return iam_resources.PolicyStatement(actions=["s3:GetObject"], resources=buckets)

    role("LargeRole").attach_inline_policy(
        iam_resources.Policy(app.node.find_child("LargeRole"), "Own", statements=[large(300)])
    )
    iam_resources.ManagedPolicy(cdk.Stack(app, "LargePolicy"), "Policy", statements=[large(200)])
    accounts = [iam_resources.AccountPrincipal(f"{number:012}") for number in range(60)]
    role("TrustsMany", assumed_by=iam_resources.CompositePrincipal(*accounts))
    here = cdk.Stack(app, "ManyPolicies")
    arns = [f"arn:aws:iam::111111111111:policy/p{number}" for number in range(11)]
    iam_resources.CfnRole(here, "Role", assume_role_policy_document={}, managed_policy_arns=arns)


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Stack → the rules that stopped the synthesis of an app full of mistakes."""
    directory = tmp_path_factory.mktemp("mistakes")
    app = cdk.App(outdir=str(directory), context=FLAGS, analytics_reporting=False)
    guard.add_to(app)
    nag.add_to(app)
    iam_sizes.add_to(app)
    for name, (changes, _) in WRONG_BROKERS.items():
        elasticache.CfnReplicationGroup(cdk.Stack(app, name), "Group", **{**GOOD_BROKER, **changes})
    elasticache.CfnReplicationGroup(cdk.Stack(app, "Good"), "Group", **GOOD_BROKER)
    elasticache.CfnParameterGroup(
        cdk.Stack(app, "Evicting"),
        "Group",
        cache_parameter_group_family="valkey8",
        description="x",
        properties={"maxmemory-policy": "allkeys-lru"},
    )
    elasticache.CfnParameterGroup(
        cdk.Stack(app, "Stubborn"),
        "Group",
        cache_parameter_group_family="valkey8",
        description=f"{guard.EVICTING}, x",
        properties={"maxmemory-policy": "noeviction"},
    )
    ecs.CfnService(cdk.Stack(app, "Negative"), "Service", desired_count=-1, task_definition="x")
    cdk.CfnResource(cdk.Stack(app, "Misspelt"), "Queue", type="AWS::SQS::Queue", properties={"Nmae": "x"})
    sqs.Queue(cdk.Stack(app, "Unexplained"), "Queue", enforce_ssl=True)
    _too_large_for_iam(app)
    explained = sqs.Queue(cdk.Stack(app, "Explained"), "Queue", enforce_ssl=True)
    nag.acknowledge(explained, "AwsSolutions-SQS3", "it is the dead-letter queue")
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    return _by_stack(json.loads((directory / "validation-report.json").read_text()))


def _by_stack(report: Mapping[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for plugin in report["pluginReports"]:
        for violation in plugin["violations"]:
            for construct in violation["violatingConstructs"]:
                stack = construct["constructPath"].partition("/")[0]
                found.setdefault(stack, set()).add(violation["ruleName"])
    return found


def test_a_policy_that_is_too_long_comes_with_what_shortens_it() -> None:
    """A managed policy is the fleet's own: no pool's `allow` is in it."""
    long = {"Statement": [{"Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{'x' * 11_000}"}]}
    resources = {
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {"AssumeRolePolicyDocument": {}, "Policies": [{"PolicyDocument": long}]},
        },
        "OperatorPolicy": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": long}},
    }
    fix = {one.logical_id: one.fix for one in iam_sizes.findings({"Resources": resources})}

    assert "Shorten a pool's allow" in fix["Role"]
    assert "choose a shorter name" in fix["OperatorPolicy"]
    assert "Shorten a pool's allow" not in fix["OperatorPolicy"]


def test_what_the_fleet_puts_into_a_task_definition_fits_what_is_kept_for_it(
    blueprint: Synthesis, variants: Synthesis
) -> None:
    sizes = {
        (stack, id): iam_sizes.length(one["Properties"])
        for made in (blueprint, variants)
        for stack, id, one in made.resources("AWS::ECS::TaskDefinition")
    }

    assert max(sizes.values()) < OURS_BYTES, sizes


@pytest.mark.parametrize("stack", WRONG)
def test_what_is_wrong_stops_synth(findings: dict[str, set[str]], stack: str) -> None:
    assert WRONG[stack] in findings[stack]


def test_what_is_right_or_explained_does_not(findings: dict[str, set[str]]) -> None:
    ours = {rule for rule in findings.get("Good", set()) if rule.startswith("taskfleet_")}

    assert ours == set()
    assert "AwsSolutions-SQS3" not in findings.get("Explained", set())


@pytest.mark.parametrize("reason", ["", "ok", "   "])
def test_an_acknowledgement_needs_a_reason(reason: str) -> None:
    with pytest.raises(ValueError, match="AwsSolutions-SQS3"):
        nag.acknowledge(cdk.Stack(), "AwsSolutions-SQS3", reason)


def test_the_ledger_is_current(blueprint: Synthesis) -> None:
    found = ledger.entries(blueprint.directory, environments.ALL)

    assert ledger.render(found, environments.ALL) == ledger.LEDGER.read_text(), (
        "acknowledgements changed: run `make docs`, look at the difference"
    )


def test_no_finding_is_acknowledged_for_a_whole_stack(blueprint: Synthesis) -> None:
    ours = [
        entry
        for entry in ledger.entries(blueprint.directory, environments.ALL)
        if not entry.rule.startswith("CloudFormation-Validate")  # what the CDK acknowledges itself
    ]

    assert ours
    assert [entry for entry in ours if "/" not in entry.construct] == []


def test_cfn_lint_finds_nothing(blueprint: Synthesis) -> None:
    assert lint.run(blueprint.files) == []


def test_cfn_lint_finds_what_is_wrong(tmp_path: Path) -> None:
    template = tmp_path / "wrong.template.json"
    template.write_text('{"Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"Nmae": "x"}}}}')

    (finding,) = lint.run([template])
    assert "Nmae" in finding


def test_policies_of_the_longest_names_are_no_longer_than_iam_takes(tmp_path: Path) -> None:
    """Of an environment that has all that the operators' policy names, in a region with a long name."""
    region = "ap-southeast-1"
    network = replace(EXISTING.network, availability_zones=tuple(f"{region}{zone}" for zone in "abc"))
    longest = replace(EXISTING, name="a" * 12, region=region, network=network)

    assert synthesize(tmp_path, [longest]).files  # else it raises what the CDK says


def test_no_statement_allows_a_wildcard_action(blueprint: Synthesis, variants: Synthesis) -> None:
    for name, template in {**blueprint.templates, **variants.templates}.items():
        assert [f"{name} {one}" for one in iam.broad_actions(template)] == []


def test_no_statement_is_on_every_resource_unless_aws_has_no_other(
    blueprint: Synthesis, variants: Synthesis
) -> None:
    for name, template in {**blueprint.templates, **variants.templates}.items():
        assert [f"{name} {one}" for one in iam.broad_resources(template)] == []


def test_the_list_of_what_aws_can_not_narrow_holds_nothing_unused(blueprint: Synthesis) -> None:
    used = {
        action
        for template in blueprint.templates.values()
        for statement in iam.statements(template)
        if "*" in statement.resources and statement.type not in iam.OWN_RESOURCE
        for action in statement.actions
    }

    assert used == set(iam.NO_NARROWER_RESOURCE)
    assert all(iam.NO_NARROWER_RESOURCE.values())


@pytest.mark.parametrize("action", ["*", "sqs:*", "sqs:Get*"])
def test_a_wildcard_action_is_found(action: str) -> None:
    assert iam.broad_actions(policy(action, "arn:aws:sqs:eu-west-1:123456789012:queue"))


def test_a_needless_wildcard_resource_is_found() -> None:
    assert iam.broad_resources(policy("sqs:SendMessage", "*"))
    assert not iam.broad_resources(policy("ecr:GetAuthorizationToken", "*"))


def policy(action: str, resource: str) -> dict[str, Any]:
    """A template with one role that may do this."""
    stack = cdk.Stack()
    role = iam_resources.Role(stack, "Role", assumed_by=iam_resources.ServicePrincipal("ecs.amazonaws.com"))
    role.add_to_policy(iam_resources.PolicyStatement(actions=[action], resources=[resource]))
    return dict(assertions.Template.from_stack(stack).to_json())
