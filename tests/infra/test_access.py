"""Every call that a container, a producer or an operator was seen to make is allowed, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from infra.checks.access import calls, implied, policies, report
from infra.checks.access.authorize import allowed, grants
from infra.checks.access.policies import BEAT, CONTROLLER, DEPLOYER, OPERATOR, PRODUCER, VIEWER, WORKER
from infra.checks.access.resolve import Account
from infra.checks.access.unused import UNUSED, name
from infra.policies import deployer
from infra.settings import Settings
from local.emulator.calls import Asked, Place, asked
from tests.infra.synthesis import RELEASE, Synthesis
from tests.support import reference as environments

EVERYWHERE = pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)


def account(synthesis: Synthesis, settings: Settings) -> Account:
    mine = {
        name: template
        for name, template in synthesis.templates.items()
        if name.startswith(f"taskfleet-{settings.name}-")
    }
    return Account(settings.account, settings.region, mine)


def policies_of(settings: Settings, of: Account) -> policies.Policies:
    return policies.with_deployer(policies.of(of), deployer.document(settings))


def asked_of(settings: Settings, of: Account) -> Iterator[tuple[str, Asked]]:
    """All that was ever seen, and what ECS does to start containers."""
    yield from report.questions(calls.read(), settings, of, release=RELEASE)
    yield from report.at_start(of, settings)


@EVERYWHERE
def test_every_call_is_allowed(blueprint: Synthesis, settings: Settings) -> None:
    of = account(blueprint, settings)
    found = policies_of(settings, of)

    assert report.denied(found, of, asked_of(settings, of)) == []


def unused(synthesis: Synthesis, settings: Settings) -> set[tuple[str, str, str]]:
    """(who, statement, action) of what is allowed, and nobody was seen to use."""
    of = account(synthesis, settings)
    found = policies_of(settings, of)
    asks: dict[tuple[str, str], list[Asked]] = {}
    for who, one in asked_of(settings, of):
        asks.setdefault((who, one.action), []).append(one)
    return {
        (who, name(statement), action)
        for who, statement, action in report.allows(found)
        if not any(grants(statement, one) for one in asks.get((who, action), ()))
    }


def test_nothing_else_is_allowed(blueprint: Synthesis) -> None:
    """An action that nobody was seen to use has its reason, or goes."""
    found = set().union(*(unused(blueprint, settings) for settings in environments.ALL))

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
    blueprint: Synthesis, who: str, service: str, operation: str, params: Mapping[str, Any]
) -> None:
    prod = environments.PROD
    found = policies_of(prod, account(blueprint, prod))

    (question,) = asked(service, operation, params, Place(prod.region, prod.account))
    assert not allowed(found, who, question, account=prod.account, region=prod.region)


def test_the_key_is_no_ones_but_through_the_services_that_hold_its_data(blueprint: Synthesis) -> None:
    prod = environments.PROD
    of = account(blueprint, prod)
    found = policies.of(of)
    (via,) = implied.of_key(Asked("secretsmanager:GetSecretValue", "*"), of)
    directly = Asked(via.action, via.resource)

    assert allowed(found, PRODUCER, via, account=prod.account, region=prod.region)
    assert not allowed(found, PRODUCER, directly, account=prod.account, region=prod.region)


def test_a_statement_that_is_missing_is_named(blueprint: Synthesis) -> None:
    prod = environments.PROD
    of = account(blueprint, prod)
    found = policies_of(prod, of)
    without = replace(
        found,
        identity={**found.identity, BEAT: tuple(s for s in found.identity[BEAT] if s.get("Sid") != "Tick")},
    )

    missing, *_ = report.denied(without, of, asked_of(prod, of))
    assert missing.startswith('beat needs {"Effect": "Allow", "Action": "dynamodb:PutItem"')


@EVERYWHERE
@pytest.mark.parametrize("who", [PRODUCER, VIEWER, OPERATOR, DEPLOYER])
def test_a_managed_policy_is_no_longer_than_iam_takes(
    blueprint: Synthesis, settings: Settings, who: str
) -> None:
    """6,144 characters, white space not counted (IAM user guide, "IAM and AWS STS quotas")."""
    statements = policies_of(settings, account(blueprint, settings)).identity[who]
    document = {"Version": "2012-10-17", "Statement": statements}

    assert len(json.dumps(document, separators=(",", ":"))) < 6144


@EVERYWHERE
@pytest.mark.parametrize("who", [PRODUCER, VIEWER, OPERATOR, DEPLOYER])
def test_a_managed_policy_does_not_grow_with_the_pools(
    blueprint: Synthesis, settings: Settings, who: str
) -> None:
    text = json.dumps(policies_of(settings, account(blueprint, settings)).identity[who])

    assert [pool.name for pool in settings.pools if f"{pool.name}-*" in text] == []


def test_an_operator_starts_nothing_with_a_role_that_is_not_a_releases(blueprint: Synthesis) -> None:
    prod = environments.PROD
    found = policies_of(prod, account(blueprint, prod))
    to_ecs = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}

    for role in ("BeatTaskRole", "ControllerTaskRole", "BeatExecutionRole"):
        question = Asked(
            "iam:PassRole", f"arn:aws:iam::{prod.account}:role/taskfleet-prod-fleet-{role}", to_ecs
        )
        assert not allowed(found, OPERATOR, question, account=prod.account, region=prod.region)


@cache
def _table() -> frozenset[calls.Call]:
    return frozenset(calls.read())


@pytest.mark.parametrize("who", [WORKER, BEAT, CONTROLLER, PRODUCER, VIEWER, OPERATOR, DEPLOYER])
def test_everybodys_calls_were_seen(who: str) -> None:
    assert {call for call in _table() if call.caller == who}
