"""A release's stack waits in CloudFormation, in the emulated account, for what the controller answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from taskfleet.contract import limits, names, parameters
from taskfleet.contract.manifest import AUTOMATIC
from taskfleet.releases.actions import SendCheck

from tests.support.processes import wait_for
from tests.taskfleet.controller.account import Account


def _begin(account: Account, release: str) -> str:
    """The part of a release's stack that waits. Its name."""
    name = names.release_stack(account.name, release)
    template = {
        "Resources": {
            "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
            "Url": {
                "Type": "AWS::SSM::Parameter",
                "Properties": {
                    "Name": parameters.release_answer(account.name, release),
                    "Type": "String",
                    "Value": {"Ref": "Handle"},
                },
            },
            "Gate": {
                "Type": "AWS::CloudFormation::WaitCondition",
                "DependsOn": "Url",
                "Properties": {
                    "Handle": {"Ref": "Handle"},
                    "Timeout": str(limits.ANSWER_WITHIN_SECONDS),
                    "Count": 1,
                },
            },
        }
    }
    cloudformation = account.aws.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    ssm = account.ssm
    path = parameters.release_answers(account.name)
    wait_for(
        lambda: any(
            entry["Name"].endswith(f"/{release}")
            for entry in ssm.get_parameters_by_path(Path=path)["Parameters"]
        ),
        what="the stack waits",
    )
    return name


def _stack(account: Account, name: str) -> dict[str, Any]:
    (stack,) = account.aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    return dict(stack)


def _ends(account: Account, name: str, status: str) -> None:
    wait_for(lambda: _stack(account, name)["StackStatus"] == status, what=f"{name} is {status}")


def test_a_deploy_ends_when_its_gate_has_passed_and_the_release_becomes_current(current: Account) -> None:
    stack = _begin(current, "green")
    made, controller = current.deploy("green", promotion=AUTOMATIC), current.controller()
    current.pass_time(controller, 2)
    assert _stack(current, stack)["StackStatus"] == "CREATE_IN_PROGRESS"
    assert current.published() == "blue"
    current.run_gates(made)
    current.pass_time(controller, 1)
    _ends(current, stack, "CREATE_COMPLETE")
    assert current.states() == {"blue": "draining", "green": "current"}
    assert current.published() == "green"


def test_a_failed_gate_fails_the_deploy_with_its_reason_and_blue_serves_on(current: Account) -> None:
    stack = _begin(current, "green")
    current.deploy("green", promotion=AUTOMATIC)
    controller = current.controller()
    current.pass_time(controller, 2)
    current.clock.now += limits.GATE_DEADLINE_SECONDS
    current.pass_time(controller, 8)
    _ends(current, stack, "ROLLBACK_COMPLETE")
    assert current.states() == {"blue": "current", "green": "failed"}
    events = current.aws.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    reasons = " ".join(event.get("ResourceStatusReason", "") for event in events)
    assert "there was no proof from high (primary), low (primary), etl (primary)" in reasons
    assert current.published() == "blue"


def test_a_check_of_the_team_that_fails_is_the_reason_of_the_failed_deploy(current: Account) -> None:
    stack = _begin(current, "green")
    current.checks = ("shop.database",)
    made, controller = current.deploy("green", promotion=AUTOMATIC), current.controller()
    current.pass_time(controller, 1)
    current.run_gates(made)
    current.pass_time(controller, 2)
    assert current.states() == {"blue": "current", "green": "gating"}
    assert [sent.key for sent in current.gates.sent if isinstance(sent, SendCheck)] == [
        "gate#check#green#shop.database"
    ]
    current.end_check("green", "shop.database", "OperationalError: no such table: orders")
    current.pass_time(controller, 2)
    _ends(current, stack, "ROLLBACK_COMPLETE")
    events = current.aws.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    reasons = " ".join(event.get("ResourceStatusReason", "") for event in events)
    assert "its gate shop.database failed: OperationalError: no such table: orders" in reasons
    assert current.states() == {"blue": "current", "green": "failed"}


def test_an_answer_that_was_not_taken_is_sent_again_and_nothing_is_promoted_before(
    current: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = _begin(current, "green")
    made, controller = current.deploy("green", promotion=AUTOMATIC), current.controller()
    current.pass_time(controller, 1)
    current.run_gates(made)
    path = parameters.release_answer(current.name, "green")
    url = current.ssm.get_parameter(Name=path)["Parameter"]["Value"]
    current.ssm.put_parameter(Name=path, Value="http://127.0.0.1:9/", Type="String", Overwrite=True)
    current.pass_time(controller, 2)
    assert current.published() == "blue"
    assert controller.last is not None
    assert any("Answer failed" in problem for problem in controller.last.problems)
    current.ssm.put_parameter(Name=path, Value=url, Type="String", Overwrite=True)
    current.pass_time(controller, 1)
    _ends(current, stack, "CREATE_COMPLETE")
    assert current.published() == "green"
