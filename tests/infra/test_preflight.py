"""What preflight says of an account: whose its stacks are."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from taskfleet.contract import names

from infra.preflight import account
from infra.preflight.finding import Finding, State
from infra.settings import Settings
from tests.support import reference as environments
from tests.support.ministack import MiniStack

TEMPLATE = json.dumps({"Resources": {"Kept": {"Type": "AWS::SQS::Queue", "Properties": {}}}})


@pytest.fixture
def session(aws: MiniStack, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    return boto3.Session(region_name=aws.environment["AWS_REGION"])


@pytest.fixture
def mine() -> Settings:
    """An environment of its own: tests share the account."""
    return replace(environments.DEV, name=f"t{uuid.uuid4().hex[:6]}")


def make_stack(session: boto3.Session, name: str, environment: str | None) -> None:
    tags = names.stack_tags(environment) if environment else {}
    session.client("cloudformation").create_stack(
        StackName=name,
        TemplateBody=TEMPLATE,
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )


def test_releases_that_are_ours_are_fine(session: boto3.Session, mine: Settings) -> None:
    for name in (names.stack(mine.name, "fleet"), names.release_stack(mine.name, "r1")):
        make_stack(session, name, mine.name)
    make_stack(session, f"{mine.name}-release-r1", None)

    (found,) = account.ours(mine, session)

    assert (found.state, found.found) == (State.OK, "1 of 3 there, and ours")


@pytest.mark.parametrize("whose", [None, "staging"])
@pytest.mark.parametrize("part", ["network", "release-r1"])
def test_a_stack_of_a_name_of_ours_that_is_not_tagged_ours_is_refused(
    session: boto3.Session, mine: Settings, part: str, whose: str | None
) -> None:
    make_stack(session, names.stack(mine.name, part), whose)

    (found,) = account.ours(mine, session)

    assert (found.state, found.found) == (State.MISSING, "somebody else's")
    assert f"the stack taskfleet-{mine.name}-{part} is not ours" in found.then


@pytest.mark.parametrize(
    ("owner", "theirs", "says"),
    [
        ("shop", "shop", None),
        ("", "", None),
        ("shop", "mail", "is of the owner 'mail', and owner in infra/environments.py is 'shop'"),
        ("", "mail", "is of the owner 'mail'"),
        ("shop", "", "lacks the tags project=taskfleet and environment={} and taskfleet-owner=shop"),
    ],
)
def test_another_teams_stack_of_the_same_environments_name_is_refused(
    mine: Settings, owner: str, theirs: str, says: str | None
) -> None:
    tags = [{"Key": key, "Value": value} for key, value in names.stack_tags(mine.name, theirs).items()]
    stack = {"StackName": names.stack(mine.name, "network"), "StackStatus": "CREATE_COMPLETE", "Tags": tags}

    found = ours(replace(mine, owner=owner), stack)

    assert found.state is (State.MISSING if says else State.OK)
    assert (says or "").format(mine.name) in found.then


class CloudFormation:
    """A session and its client at once, which answers with this stack, or refuses."""

    def __init__(self, stack: dict[str, Any] | None) -> None:
        self._stack = stack

    def client(self, service: str) -> CloudFormation:
        return self

    def get_paginator(self, operation: str) -> CloudFormation:
        return self

    def paginate(self) -> Iterator[dict[str, Any]]:
        if self._stack is None:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "DescribeStacks")
        yield {"Stacks": [self._stack]}


def ours(mine: Settings, stack: dict[str, Any] | None) -> Finding:
    (found,) = account.ours(mine, CloudFormation(stack))  # type: ignore[arg-type]
    return found


def test_nothing_is_deployed_where_nobody_can_say_whose_the_stacks_are(mine: Settings) -> None:
    found = ours(mine, None)

    assert found.state is State.MISSING
    assert "cloudformation:DescribeStacks" in found.then


@pytest.mark.parametrize(
    ("status", "run"),
    [
        ("DELETE_FAILED", "aws cloudformation delete-stack --stack-name {}"),
        ("UPDATE_ROLLBACK_FAILED", "aws cloudformation continue-update-rollback --stack-name {}"),
    ],
)
def test_a_stack_that_no_deploy_can_change_comes_with_the_command_that_frees_it(
    mine: Settings, status: str, run: str
) -> None:
    name = names.stack(mine.name, "network")
    tags = [{"Key": key, "Value": value} for key, value in names.stack_tags(mine.name).items()]

    found = ours(mine, {"StackName": name, "StackStatus": status, "Tags": tags})

    assert (found.state, found.run) == (State.MISSING, (run.format(name),))
    assert name in found.found
