"""Builds are deployed into one release's stack, which CloudFormation updates and goes back from."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from taskfleet import signatures
from taskfleet.contract import limits, names, parameters
from taskfleet.contract import state as keys
from taskfleet.contract.manifest import AUTOMATIC, ReleaseManifest
from taskfleet.contract.names import ROLLING
from taskfleet.controller.execute import Execution
from taskfleet.releases import builds, items
from taskfleet.releases.actions import Move
from taskfleet.releases.gating import wanted
from taskfleet.releases.model import Pointer, State, registered
from taskfleet.releases.observation import Rules

from tests.support.processes import wait_for
from tests.taskfleet.controller.account import Account
from tests.taskfleet.releases.factory import manifest, record

STACK_ENDS = ("COMPLETE", "FAILED")


def _manifest(build: str) -> ReleaseManifest:
    return manifest(ROLLING, build=build, image=build, promotion=AUTOMATIC, beat=True)


def _template(account: Account, build: str) -> str:
    """The parts of the release's stack that wait, as `infra.constructs.answer` makes them."""
    parameter = {
        "Url": (
            parameters.release_answer(account.name, ROLLING),
            {"Fn::Join": ["", [{"Ref": f"Handle{build}"}, f" {build}"]]},
        ),
        "Manifest": (parameters.release_manifest(account.name, ROLLING), _manifest(build).to_json()),
    }
    made: dict[str, Any] = {f"Handle{build}": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}
    for logical, (name, value) in parameter.items():
        made[logical] = {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Name": name, "Type": "String", "Value": value},
        }
    made["Manifest"]["DependsOn"] = "Url"
    made[f"Gate{build}"] = {
        "Type": "AWS::CloudFormation::WaitCondition",
        "DependsOn": ["Url", "Manifest"],
        "Properties": {
            "Handle": {"Ref": f"Handle{build}"},
            "Timeout": str(limits.ANSWER_WITHIN_SECONDS),
            "Count": 1,
        },
    }
    return json.dumps({"Resources": made})


def _deploy(account: Account, build: str, *, update: bool = True) -> None:
    """Begin it; returns when CloudFormation waits."""
    cloudformation = account.aws.client("cloudformation")
    begin = cloudformation.update_stack if update else cloudformation.create_stack
    begin(StackName=names.release_stack(account.name, ROLLING), TemplateBody=_template(account, build))
    wait_for(lambda: _deployed(account) == build, what=f"{build} is deployed")


def _deployed(account: Account) -> str | None:
    path = parameters.release_manifests(account.name)
    found = account.ssm.get_parameters_by_path(Path=path)["Parameters"]
    return next((ReleaseManifest.from_json(one["Value"]).build for one in found), None)


def _status(account: Account) -> str:
    (stack,) = account.aws.client("cloudformation").describe_stacks(
        StackName=names.release_stack(account.name, ROLLING)
    )["Stacks"]
    return str(stack["StackStatus"])


def _ends(account: Account, status: str) -> None:
    wait_for(lambda: _status(account) == status, what=f"the stack is {status}, not {_status(account)}")


def _run_gates(account: Account, build: str) -> None:
    """What its workers and its beat write."""
    table, now = names.state_table(account.name), account.clock()
    tasks = signatures.from_plain({f"shop.{build}": []})
    builds.write(account.dynamodb, table, keys.newest_signatures(ROLLING), builds.Build(build, now, tasks))
    of = registered(_manifest(build), at=now, actor="controller")
    proofs = [gate.key for gate in wanted(of, Rules().gate_brokers)]
    for key in proofs:
        item = {keys.KEY: key, "at": now, "release": ROLLING}
        account.dynamodb.put_item(TableName=table, Item=items.wire(item))
    account.tick(ROLLING)


def _kept(account: Account) -> str | None:
    found = builds.read(account.dynamodb, names.state_table(account.name), keys.signatures(ROLLING))
    return found.build if found else None


@pytest.fixture
def rolling(account: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An environment whose release has its first build."""
    monkeypatch.setattr(account, "write_manifest", lambda made: None)  # the stack has it
    account.deploy(ROLLING, build="s1", beat=True)
    _deploy(account, "s1", update=False)
    controller = account.controller()
    account.pass_time(controller, 1)
    _run_gates(account, "s1")
    account.pass_time(controller, 2)
    _ends(account, "CREATE_COMPLETE")
    assert account.published() == ROLLING
    assert _kept(account) == "s1"
    return account


def test_a_deploy_of_another_build_ends_when_its_own_workers_have_run_its_gate(rolling: Account) -> None:
    controller = rolling.controller()
    _deploy(rolling, "s2")
    rolling.pass_time(controller, 2)
    assert _status(rolling) == "UPDATE_IN_PROGRESS"
    assert rolling.states() == {ROLLING: "current"}
    assert {gate.build for gate in rolling.gates.sent[-6:]} == {"s2"}
    _run_gates(rolling, "s1")  # old workers, which are ending
    rolling.pass_time(controller, 1)
    assert _status(rolling) == "UPDATE_IN_PROGRESS"
    assert _kept(rolling) == "s1"

    _run_gates(rolling, "s2")
    rolling.pass_time(controller, 2)
    _ends(rolling, "UPDATE_COMPLETE")
    assert _kept(rolling) == "s2"
    found = rolling.store.scan().records[ROLLING]
    assert (found.manifest.build, found.image, found.deployed) == ("s2", "s2", True)
    assert found.history[-1].reason == "build s2 was deployed"


def test_cloudformation_goes_back_from_a_build_whose_gate_fails(rolling: Account) -> None:
    controller = rolling.controller()
    _deploy(rolling, "s2")
    rolling.pass_time(controller, 2)
    rolling.clock.now += limits.GATE_DEADLINE_SECONDS
    rolling.pass_time(controller, 8)
    _ends(rolling, "UPDATE_ROLLBACK_COMPLETE")
    events = rolling.aws.client("cloudformation").describe_stack_events(
        StackName=names.release_stack(rolling.name, ROLLING)
    )["StackEvents"]
    reasons = " ".join(event.get("ResourceStatusReason", "") for event in events)
    assert "build s2 of release rolling has not passed its gate" in reasons
    assert _deployed(rolling) == "s1"

    rolling.pass_time(controller, 1)
    _run_gates(rolling, "s1")
    rolling.pass_time(controller, 2)
    found = rolling.store.scan().records[ROLLING]
    assert (found.manifest.build, found.gate_failed, found.deployed) == ("s1", None, True)
    assert found.gate_passed_at is not None
    assert rolling.states() == {ROLLING: "current"}
    assert _kept(rolling) == "s1"
    assert controller.last is not None
    assert not [one for one in controller.last.problems if "Answer" in one or "gate" in one]

    # And a build that is mended is deployed into it.
    _deploy(rolling, "s3")
    rolling.pass_time(controller, 2)
    _run_gates(rolling, "s3")
    rolling.pass_time(controller, 2)
    _ends(rolling, "UPDATE_COMPLETE")


def test_nothing_is_asked_of_a_build_that_begins_anew(rolling: Account) -> None:
    """Its release had retired, empty."""
    drained = record(ROLLING, State.DRAINED, manifest=_manifest("s1"), version=100)
    rolling.store.save(replace(drained, version=rolling.store.scan().records[ROLLING].version + 1))
    records = rolling.store.scan().records
    done = Execution(rolling.clients(), rolling.clock(), dict(records), Pointer("r2", 2), "r2")

    assert done.run((Move(ROLLING, State.RETIRED, "its stack was deleted"),)) == []

    kept = builds.read(rolling.dynamodb, names.state_table(rolling.name), keys.signatures(ROLLING))
    assert kept is not None
    assert (kept.build, kept.tasks) == ("", {})
