"""Every call that a container, a producer or an operator was seen to make is allowed, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from infra.checks.access import calls, implied, policies, report
from infra.checks.access.authorize import allowed, grants
from infra.checks.access.policies import (
    BEAT,
    CONTROLLER,
    DEPLOYER,
    OPERATOR,
    PRODUCER,
    VIEWER,
    WORKER,
    Policies,
)
from infra.checks.access.resolve import Account
from infra.checks.access.unused import UNUSED, name
from infra.settings import Settings
from local.emulator.calls import Asked, Place, asked
from tests.infra.synthesis import RELEASE, Synthesis
from tests.infra.variants import KEY, KEY_STATEMENT, MIXED, VARIANTS
from tests.support import reference as environments

EVERYWHERE = pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)

# The roles that no caller of ours has, by how their logical ids begin: a service of AWS acts with them.
OF_SERVICES = {
    "VpcFlowLogRole": "VPC writes its flow logs",
    "CustomVpcRestrictDefaultSGCustomResourceProviderRole": "a function of the CDK empties the default group",
    "InstancesbigInstanceRole": "an instance's ECS agent joins the cluster",
}


@dataclass(frozen=True)
class Environment:
    """One that was synthesized: its templates and policies."""

    settings: Settings
    account: Account
    policies: Policies

    @classmethod
    def of(cls, synthesis: Synthesis, settings: Settings) -> Environment:
        account = synthesis.account(settings)
        return cls(settings, account, policies.of(account, settings))

    def asks(self) -> Iterator[tuple[str, Asked]]:
        """All that was ever seen, and what ECS does to start containers."""
        yield from report.questions(
            _table(), self.settings, self.account, release=RELEASE, found=self.policies
        )
        yield from report.at_start(self.account, self.settings)

    def allows(self, who: str, question: Asked) -> bool:
        here = {"account": self.settings.account, "region": self.settings.region}
        return allowed(self.policies, who, question, **here)

    def denied(self) -> list[str]:
        return report.denied(self.policies, self.account, self.asks())


@pytest.fixture(scope="module")
def prod(blueprint: Synthesis) -> Environment:
    return Environment.of(blueprint, environments.PROD)


@EVERYWHERE
def test_every_call_is_allowed(blueprint: Synthesis, settings: Settings) -> None:
    assert Environment.of(blueprint, settings).denied() == []


@pytest.mark.parametrize("settings", VARIANTS, ids=lambda settings: settings.name)
def test_every_call_is_allowed_whatever_a_team_changes(variants: Synthesis, settings: Settings) -> None:
    assert Environment.of(variants, settings).denied() == []


def test_every_call_of_a_worker_is_allowed_to_a_pools_own_role(mixed: Synthesis) -> None:
    found = Environment.of(mixed, MIXED)
    resources = {**found.policies.resource, KEY: (KEY_STATEMENT,)}
    whole = replace(found, policies=replace(found.policies, resource=resources))

    assert {who for who, _ in whole.asks()} >= {WORKER, f"{WORKER} web"}
    assert whole.denied() == []


def test_each_role_is_somebodys_whose_calls_are_asked_about(
    blueprint: Synthesis, variants: Synthesis, mixed: Synthesis
) -> None:
    begins = {where for _, where in policies.ROLES.values()}
    others = {
        logical_id[:-8]
        for synthesis in (blueprint, variants, mixed)
        for _, logical_id, _ in synthesis.resources("AWS::IAM::Role")
        if logical_id[:-8] not in begins and not policies.POOL_ROLE.fullmatch(logical_id)
    }

    assert others == OF_SERVICES.keys()


def test_each_resource_that_has_a_policy_is_asked_too(
    blueprint: Synthesis, variants: Synthesis, mixed: Synthesis
) -> None:
    """But for topics: nobody of ours sends to one."""
    documents = {"PolicyDocument", "KeyPolicy", "ResourcePolicy", "RepositoryPolicyText", "Policy"}
    types = {
        resource["Type"]
        for synthesis in (blueprint, variants, mixed)
        for _, _, resource in synthesis.resources()
        if documents & resource.get("Properties", {}).keys()
    }

    assert types - {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"} == {
        "AWS::KMS::Key",
        "AWS::SQS::QueuePolicy",
        "AWS::SNS::TopicPolicy",
    }
    assert not [call for call in _table() if call.action.startswith("sns:")]


def unused(of: Environment) -> set[tuple[str, str, str]]:
    """(who, statement, action) of what is allowed, and nobody was seen to use.

    But for pools' own roles: what they have beside the workers' own role, a team's settings name.
    """
    asks: dict[tuple[str, str], list[Asked]] = {}
    for who, one in of.asks():
        asks.setdefault((who, one.action), []).append(one)
    return {
        (who, name(statement), action)
        for who, statement, action in report.allows(of.policies)
        if not who.startswith(f"{WORKER} ")
        and not any(grants(statement, one) for one in asks.get((who, action), ()))
    }


def test_nothing_else_is_allowed(blueprint: Synthesis, variants: Synthesis, mixed: Synthesis) -> None:
    """An action that nobody was seen to use has its reason, or goes."""
    everywhere = [
        *(Environment.of(blueprint, settings) for settings in environments.ALL),
        *(Environment.of(variants, settings) for settings in VARIANTS),
        Environment.of(mixed, MIXED),
    ]
    found = set().union(*map(unused, everywhere))

    assert sorted(found - UNUSED.keys()) == [], "allowed, and no test uses it"
    assert sorted(UNUSED.keys() - found) == [], "has a reason to be unused, and is used, or not allowed"


# What none of them may do, though something like it is allowed.
FORBIDDEN = [
    (WORKER, "sqs", "ReceiveMessage", {"QueueUrl": "https://sqs/1/taskfleet-prod-high-other"}),
    (WORKER, "sqs", "SendMessage", {"QueueUrl": "https://sqs/1/taskfleet-prod-dead-high"}),
    (WORKER, "dynamodb", "PutItem", {"TableName": "taskfleet-prod-state", "Item": {"id": {"S": "pointer"}}}),
    (WORKER, "ssm", "PutParameter", {"Name": "/taskfleet/prod/current-release"}),
    (BEAT, "sqs", "SendMessage", {"QueueUrl": "https://sqs/1/taskfleet-prod-dead-high"}),
    (BEAT, "dynamodb", "GetItem", {"TableName": "taskfleet-prod-state", "Key": {"id": {"S": "look"}}}),
    (CONTROLLER, "sqs", "SendMessage", {"QueueUrl": "https://sqs/1/taskfleet-prod-dead-high"}),
    (CONTROLLER, "monitoring", "PutMetricData", {"Namespace": "AWS/ECS"}),
    (CONTROLLER, "cloudformation", "DeleteStack", {"StackName": "taskfleet-prod-fleet"}),
    (CONTROLLER, "cloudformation", "DeleteStack", {"StackName": "taskfleet-staging-release-r1"}),
    (CONTROLLER, "ecs", "UpdateService", {"cluster": "taskfleet-staging", "service": "high-r1"}),
    (
        BEAT,
        "dynamodb",
        "UpdateItem",
        {"TableName": "taskfleet-prod-state", "Key": {"id": {"S": "revokes#1"}}},
    ),
    (
        PRODUCER,
        "dynamodb",
        "UpdateItem",
        {"TableName": "taskfleet-prod-state", "Key": {"id": {"S": "pointer"}}},
    ),
    (
        PRODUCER,
        "dynamodb",
        "PutItem",
        {"TableName": "taskfleet-prod-state", "Item": {"id": {"S": "revokes#1"}}},
    ),
    (PRODUCER, "sqs", "ReceiveMessage", {"QueueUrl": "https://sqs/1/taskfleet-prod-high-r1"}),
    (PRODUCER, "sqs", "SendMessage", {"QueueUrl": "https://sqs/1/taskfleet-prod-dead-high"}),
    (PRODUCER, "sqs", "SendMessage", {"QueueUrl": "https://sqs/1/taskfleet-staging-high-r1"}),
    (PRODUCER, "secretsmanager", "GetSecretValue", {"SecretId": "taskfleet/staging/broker-AbCdEf"}),
    (PRODUCER, "ssm", "PutParameter", {"Name": "/taskfleet/prod/current-release"}),
    (PRODUCER, "ssm", "GetParameter", {"Name": "/taskfleet/prod/base/key-arn"}),
    (VIEWER, "ssm", "PutParameter", {"Name": "/taskfleet/prod/current-release"}),
    (VIEWER, "ecs", "UpdateService", {"cluster": "taskfleet-prod", "service": "high-r1"}),
    (VIEWER, "ecs", "DescribeServices", {"cluster": "taskfleet-staging", "services": ["high-r1"]}),
    (VIEWER, "cloudformation", "DeleteStack", {"StackName": "taskfleet-prod-release-r1"}),
    (VIEWER, "dynamodb", "PutItem", {"TableName": "taskfleet-prod-state", "Item": {"id": {"S": "holds"}}}),
    (VIEWER, "dynamodb", "DeleteItem", {"TableName": "taskfleet-prod-dead-letters", "Key": {}}),
    (VIEWER, "dynamodb", "GetItem", {"TableName": "taskfleet-prod-tools", "Key": {"id": {"S": "once#a#b"}}}),
    (VIEWER, "secretsmanager", "GetSecretValue", {"SecretId": "taskfleet/prod/broker-AbCdEf"}),
    (OPERATOR, "secretsmanager", "GetSecretValue", {"SecretId": "taskfleet/staging/broker-AbCdEf"}),
    (DEPLOYER, "cloudformation", "DeleteStack", {"StackName": "taskfleet-prod-fleet"}),
    (DEPLOYER, "cloudformation", "DeleteStack", {"StackName": "taskfleet-staging-release-r1"}),
    (DEPLOYER, "cloudformation", "UpdateTerminationProtection", {"StackName": "taskfleet-staging-network"}),
    (DEPLOYER, "ssm", "DeleteParameter", {"Name": "/taskfleet/staging/current-release"}),
    (DEPLOYER, "ssm", "GetParameter", {"Name": "/taskfleet/prod/base/key-arn"}),
    (DEPLOYER, "sts", "AssumeRole", {"RoleArn": "arn:aws:iam::111111111111:role/Admin"}),
    (
        DEPLOYER,
        "sts",
        "AssumeRole",
        {"RoleArn": "arn:aws:iam::111111111111:role/cdk-hnb659fds-cfn-exec-role-111111111111-eu-west-1"},
    ),
    (
        DEPLOYER,
        "dynamodb",
        "PutItem",
        {"TableName": "taskfleet-prod-state", "Item": {"id": {"S": "pointer"}}},
    ),
    (OPERATOR, "ecs", "RunTask", {"cluster": "taskfleet-prod", "taskDefinition": "taskfleet-prod-beat:1"}),
    (OPERATOR, "ecs", "RunTask", {"cluster": "taskfleet-prod", "taskDefinition": "taskfleet-dev-low-r1:1"}),
    (OPERATOR, "logs", "GetLogEvents", {"logGroupName": "/taskfleet/prod/beat", "logStreamName": "x"}),
    (OPERATOR, "cloudformation", "DeleteStack", {"StackName": "taskfleet-prod-fleet"}),
    (OPERATOR, "cloudformation", "DeleteStack", {"StackName": "taskfleet-staging-release-r1"}),
    (OPERATOR, "sqs", "SendMessage", {"QueueUrl": "https://sqs/1/taskfleet-prod-dead-high"}),
    (OPERATOR, "sqs", "ReceiveMessage", {"QueueUrl": "https://sqs/1/taskfleet-prod-high-r1"}),
    (OPERATOR, "dynamodb", "PutItem", {"TableName": "taskfleet-prod-state", "Item": {"id": {"S": "look"}}}),
    (
        OPERATOR,
        "dynamodb",
        "UpdateItem",
        {"TableName": "taskfleet-prod-tools", "Key": {"id": {"S": "limit#a#b"}}},
    ),
]


@pytest.mark.parametrize(("who", "service", "operation", "params"), FORBIDDEN)
def test_what_is_like_it_is_denied(
    prod: Environment, who: str, service: str, operation: str, params: Mapping[str, Any]
) -> None:
    (question,) = asked(service, operation, params, Place(prod.settings.region, prod.settings.account))
    assert not prod.allows(who, question)


def test_the_key_is_no_ones_but_through_the_services_that_hold_its_data(prod: Environment) -> None:
    (via,) = implied.of_key(Asked("secretsmanager:GetSecretValue", "*"), prod.account)

    assert prod.allows(PRODUCER, via)
    assert not prod.allows(PRODUCER, Asked(via.action, via.resource))


def test_a_role_of_the_bootstrap_is_assumed_by_this_account_and_passed_to_cloudformation_only(
    prod: Environment,
) -> None:
    (here,) = (one for one in prod.policies.resource if ":role/cdk-hnb659fds-deploy-" in one)
    assume = Asked("sts:AssumeRole", here)
    executes = Asked("iam:PassRole", here.replace("deploy-role", "cfn-exec-role"))

    assert prod.allows(DEPLOYER, assume)
    assert not prod.allows(DEPLOYER, replace(assume, context={"sts:ExternalId": "a stranger's"}))
    assert prod.allows("cdk-deploy", executes)
    assert not prod.allows("cdk-deploy", replace(executes, resource=here))


def test_a_statement_that_is_missing_is_named(prod: Environment) -> None:
    kept = tuple(one for one in prod.policies.identity[BEAT] if one.get("Sid") != "Tick")
    without = replace(prod.policies, identity={**prod.policies.identity, BEAT: kept})

    missing, *_ = replace(prod, policies=without).denied()
    assert missing.startswith('beat needs {"Effect": "Allow", "Action": "dynamodb:PutItem"')


@EVERYWHERE
@pytest.mark.parametrize("who", [PRODUCER, VIEWER, OPERATOR, DEPLOYER])
def test_a_managed_policy_is_no_longer_than_iam_takes(
    blueprint: Synthesis, settings: Settings, who: str
) -> None:
    """6,144 characters, white space not counted (IAM user guide, "IAM and AWS STS quotas")."""
    statements = Environment.of(blueprint, settings).policies.identity[who]
    document = {"Version": "2012-10-17", "Statement": statements}

    assert len(json.dumps(document, separators=(",", ":"))) < 6144


@EVERYWHERE
@pytest.mark.parametrize("who", [PRODUCER, VIEWER, OPERATOR, DEPLOYER])
def test_a_managed_policy_does_not_grow_with_the_pools(
    blueprint: Synthesis, settings: Settings, who: str
) -> None:
    text = json.dumps(Environment.of(blueprint, settings).policies.identity[who])

    assert [pool.name for pool in settings.pools if f"{pool.name}-*" in text] == []


@pytest.mark.parametrize("role", ["BeatTaskRole", "ControllerTaskRole", "BeatExecutionRole"])
def test_an_operator_starts_nothing_with_a_role_that_is_not_a_releases(prod: Environment, role: str) -> None:
    arn = f"arn:aws:iam::{prod.settings.account}:role/taskfleet-prod-fleet-{role}"
    assert not prod.allows(
        OPERATOR, Asked("iam:PassRole", arn, {"iam:PassedToService": "ecs-tasks.amazonaws.com"})
    )


@cache
def _table() -> frozenset[calls.Call]:
    return frozenset(calls.read())


@pytest.mark.parametrize("who", [WORKER, BEAT, CONTROLLER, PRODUCER, VIEWER, OPERATOR, DEPLOYER])
def test_everybodys_calls_were_seen(who: str) -> None:
    assert {call for call in _table() if call.caller == who}
