"""Every call that a container, a producer or an operator was seen to make is allowed, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from infra import environments
from infra.checks.access import calls, implied, policies
from infra.checks.access.authorize import allowed, grants
from infra.checks.access.policies import BEAT, CONTROLLER, PRODUCER, WORKER, Policies
from infra.checks.access.resolve import Account
from infra.checks.access.unused import UNUSED, name
from infra.settings import Settings
from local.emulator.calls import Asked, Place, asked
from tests.infra.synthesis import RELEASE, Synthesis

EVERYWHERE = pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)
# IAM allows it to everybody, whatever a policy says (STS API reference, GetCallerIdentity).
FREE = {"sts:GetCallerIdentity"}


def account(synthesis: Synthesis, settings: Settings) -> Account:
    mine = {
        name: template
        for name, template in synthesis.templates.items()
        if name.startswith(f"taskfleet-{settings.name}-")
    }
    return Account(settings.account, settings.region, mine)


def questions(settings: Settings, of: Account, who: set[str]) -> Iterator[tuple[str, Asked]]:
    """All that was seen, what the services ask of KMS for it, and what ECS does to start containers."""
    for call in sorted(calls.read()):
        if call.caller in who and call.action not in FREE:
            for question in call.questions(settings, RELEASE):
                yield call.caller, question
                for more in implied.of_key(question, of):
                    yield call.caller, more
    for role, question in implied.at_start(of):
        starts = next(name for name, (_, begins) in policies.ROLES.items() if role[:-8] == begins)
        if starts in who:
            yield starts, question


def allows(found: Policies) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """(who, statement, action) of all that is allowed."""
    for who, statements in found.identity.items():
        for statement in statements:
            if statement["Effect"] == "Allow":
                actions = statement["Action"]
                yield from (
                    (who, statement, one) for one in ([actions] if isinstance(actions, str) else actions)
                )


def denied(found: Policies, settings: Settings, asks: Iterator[tuple[str, Asked]]) -> list[str]:
    """The statements that are missing."""
    place = {"account": settings.account, "region": settings.region}
    return sorted(
        {
            f'{who} needs {{"Effect": "Allow", "Action": "{one.action}", "Resource": "{one.resource}"}} '
            f"with {dict(one.context)}"
            for who, one in asks
            if not allowed(found, who, one, **place)
        }
    )


@EVERYWHERE
def test_every_call_is_allowed(blueprint: Synthesis, settings: Settings) -> None:
    of = account(blueprint, settings)
    found = policies.of(of)

    assert denied(found, settings, questions(settings, of, set(found.identity))) == []


def unused(synthesis: Synthesis, settings: Settings) -> set[tuple[str, str, str]]:
    """(who, statement, action) of what is allowed, and nobody was seen to use."""
    of = account(synthesis, settings)
    found = policies.of(of)
    asks: dict[tuple[str, str], list[Asked]] = {}
    for who, one in questions(settings, of, set(found.identity)):
        asks.setdefault((who, one.action), []).append(one)
    return {
        (who, name(statement), action)
        for who, statement, action in allows(found)
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
    (CONTROLLER, "sqs", "SendMessage", {"QueueUrl": "https://sqs/1/taskfleet-prod-high-r1"}),
    (CONTROLLER, "monitoring", "PutMetricData", {"Namespace": "AWS/ECS"}),
    (CONTROLLER, "cloudformation", "DeleteStack", {"StackName": "taskfleet-prod-release-r1"}),
    (PRODUCER, "sqs", "ReceiveMessage", {"QueueUrl": "https://sqs/1/taskfleet-prod-high-r1"}),
    (PRODUCER, "sqs", "SendMessage", {"QueueUrl": "https://sqs/1/taskfleet-prod-dead-high"}),
    (PRODUCER, "sqs", "SendMessage", {"QueueUrl": "https://sqs/1/taskfleet-staging-high-r1"}),
    (PRODUCER, "secretsmanager", "GetSecretValue", {"SecretId": "taskfleet/staging/broker"}),
    (PRODUCER, "ssm", "PutParameter", {"Name": "/taskfleet/prod/current-release"}),
    (PRODUCER, "ssm", "GetParameter", {"Name": "/taskfleet/prod/base/key-arn"}),
]


@pytest.mark.parametrize(("who", "service", "operation", "params"), FORBIDDEN)
def test_what_is_like_it_is_denied(
    blueprint: Synthesis, who: str, service: str, operation: str, params: Mapping[str, Any]
) -> None:
    prod = environments.PROD
    found = policies.of(account(blueprint, prod))

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
    found = policies.of(of)
    without = replace(
        found,
        identity={**found.identity, BEAT: tuple(s for s in found.identity[BEAT] if s.get("Sid") != "Tick")},
    )

    missing, *_ = denied(without, prod, questions(prod, of, {BEAT}))
    assert missing.startswith('beat needs {"Effect": "Allow", "Action": "dynamodb:PutItem"')


@cache
def _table() -> frozenset[calls.Call]:
    return frozenset(calls.read())


@pytest.mark.parametrize("who", [WORKER, BEAT, CONTROLLER, PRODUCER, "operator"])
def test_everybodys_calls_were_seen(who: str) -> None:
    assert {call for call in _table() if call.caller == who}
