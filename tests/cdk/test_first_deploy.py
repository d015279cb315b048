"""A first deploy that fails half-way, and the second that succeeds, for each long-lived stack."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from taskfleet.contract import names, parameters

from infra.deploy import deploy, not_yet_made
from tests.cdk.deploying import TAKEN, Cdk, synthesize
from tests.local.emulator.account import Account
from tests.support.reference import LOCAL

KEPT = replace(LOCAL, keep_data=True)
NETWORK, BROKER, FLEET = (names.stack("local", part) for part in names.LONG_LIVED)


@pytest.fixture(scope="module", autouse=True)
def taken(account: Account) -> None:
    account.client("ssm").put_parameter(Name=TAKEN, Value="x", Type="String")


@pytest.fixture
def foreign_stack(account: Account) -> Iterator[str]:
    """A stack with the name of ours, made by somebody who knows nothing of us."""
    name = names.stack("local", "network")
    account.deploy(name, {"Kept": {"Type": "AWS::SQS::Queue", "Properties": {}}})
    yield name
    account.delete(name)


def test_a_deploy_leaves_a_stack_that_is_somebody_elses(cdk: Cdk, foreign_stack: str) -> None:
    code = cdk.command([sys.executable, "-m", "infra.deploy", "local", "--", "echo", "deployed"])

    assert code == 1
    assert f"the stack {foreign_stack} is not ours" in cdk.output
    assert "nothing is deployed" in cdk.output
    assert "deployed\n" not in cdk.output.replace("nothing is deployed", "")


def _deploy(cdk: Cdk, account: Account, directory: Path, *, failing: str | None) -> int:
    """`infra.deploy`, with an assembly in place of the app for each run of the CDK."""
    runs: list[list[str]] = []

    def run(command: Sequence[str]) -> int:
        runs.append(list(command))
        unprotected = dict(part.split("=") for part in command if part.startswith("unprotected="))
        return cdk.deploy(synthesize(directory / str(len(runs)), KEPT, context=unprotected, failing=failing))

    return deploy(KEPT, account.client("cloudformation"), ["cdk", "deploy"], run=run, release="r1")


def test_each_stack_may_fail_once_then_all_are_protected_and_a_change_of_the_base_reaches_the_controller(
    cdk: Cdk, account: Account, tmp_path: Path
) -> None:
    for part in names.LONG_LIVED:
        assert _deploy(cdk, account, tmp_path / part, failing=part) != 0
        assert "The parameter already exists" in cdk.output
        assert cdk.stacks()[names.stack("local", part)] == ("ROLLBACK_COMPLETE", False)

    assert _deploy(cdk, account, tmp_path / "good", failing=None) == 0, cdk.output

    stacks = cdk.stacks()
    assert {name: stacks[name] for name in (NETWORK, BROKER)} == {
        NETWORK: ("CREATE_COMPLETE", True),
        BROKER: ("CREATE_COMPLETE", True),
    }
    assert stacks[FLEET] == ("UPDATE_COMPLETE", True), "its tables are protected too, by an update"
    assert not_yet_made(KEPT, account.client("cloudformation")) == []
    table = account.client("dynamodb").describe_table(TableName=names.state_table("local"))["Table"]
    assert table["DeletionProtectionEnabled"] is True

    # A value of the base that changes reaches the controller, though no template has changed.
    good = synthesize(tmp_path / "again", KEPT)
    host = parameters.base("local", "broker-host")
    account.client("ssm").put_parameter(Name=host, Value="replaced.example", Overwrite=True)
    assert cdk.deploy(good) == 0, cdk.output
    service = account.client("ecs").describe_services(
        cluster=names.cluster("local"), services=[names.CONTROLLER_SERVICE]
    )["services"][0]
    task = account.client("ecs").describe_task_definition(taskDefinition=service["taskDefinition"])
    variables = task["taskDefinition"]["containerDefinitions"][0]["environment"]
    assert {"name": "TASKFLEET_BROKER_HOST", "value": "replaced.example"} in variables
