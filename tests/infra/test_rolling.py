"""Releases that are rolled: one stack for all builds, and what a deploy of another build changes in it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from taskfleet.contract import environment as variables
from taskfleet.contract import names, parameters, state
from taskfleet.errors import SettingsError
from taskfleet.releases.builds import Refused

from infra import outcome
from infra.checks.access import policies, report
from infra.checks.access.calls import Call
from infra.release_id import build_id, release_id
from infra.settings import Releases, Settings
from tests.infra.synthesis import Synthesis, Template, of_type, synthesize
from tests.infra.test_access import Environment
from tests.support import reference as environments

ROLLING = replace(environments.DEV, releases=Releases.ROLLING)
STACK = f"release-{names.ROLLING}"
BEAT = names.beat_service(names.ROLLING)
HOLDS_DATA = ("AWS::SQS::Queue", "AWS::Logs::LogGroup", "AWS::SQS::QueuePolicy")


STATE = "arn:aws:dynamodb:<region>:<account>:table/taskfleet-<env>-state"


def _of(tmp_path_factory: pytest.TempPathFactory, settings: Settings, **context: object) -> Synthesis:
    return synthesize(
        tmp_path_factory.mktemp("rolling"),
        settings=[settings],
        context={"release": names.ROLLING, "env": "dev", **context},
    )


@pytest.fixture(scope="module")
def synthesis(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    return _of(tmp_path_factory, ROLLING)


@pytest.fixture(scope="module")
def first(synthesis: Synthesis) -> Template:
    return synthesis.of("dev", STACK)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Other code, and a task that may break."""
    other = replace(ROLLING, variables={"COLOUR": "green"})
    return _of(tmp_path_factory, other, breaks="shop.charge, shop.refund").of("dev", STACK)


def _environment(template: Template, family: str) -> dict[str, str]:
    for task in of_type(template, "AWS::ECS::TaskDefinition").values():
        if task["Family"] == names.task_family("dev", family):
            (container,) = task["ContainerDefinitions"]
            return {one["Name"]: one["Value"] for one in container["Environment"]}
    raise LookupError(family)


def test_another_build_changes_the_stack_and_keeps_its_queues(first: Template, second: Template) -> None:
    for type in HOLDS_DATA:
        assert of_type(first, type) == of_type(second, type), type
    assert {f"taskfleet-dev-low-{names.ROLLING}"} <= {
        one["QueueName"] for one in of_type(first, "AWS::SQS::Queue").values()
    }


@pytest.mark.parametrize("type", ["WaitCondition", "WaitConditionHandle"])
def test_each_build_waits_for_a_gate_of_its_own(first: Template, second: Template, type: str) -> None:
    """A wait condition waits only when it is made."""
    one, other = (set(of_type(each, f"AWS::CloudFormation::{type}")) for each in (first, second))
    assert len(one) == len(other) == 1
    assert one != other


def test_the_answer_and_the_manifest_say_which_build_is_meant(first: Template, second: Template) -> None:
    found = {}
    for template, settings in ((first, ROLLING), (second, replace(ROLLING, variables={"COLOUR": "green"}))):
        build = build_id(settings)
        values = {one["Name"]: one["Value"] for one in of_type(template, "AWS::SSM::Parameter").values()}
        answer = values[parameters.release_answer("dev", names.ROLLING)]
        assert answer["Fn::Join"][1][-1] == f" {build}"
        assert f'"build":"{build}"' in str(values[parameters.release_manifest("dev", names.ROLLING)])
        worker = _environment(template, names.service("low", names.ROLLING))
        assert worker[variables.BUILD.name] == build
        found[build] = worker.get(variables.ACCEPTED_BREAKS.name)
    assert list(found.values()) == [None, "shop.charge,shop.refund"]


def test_beat_is_not_stopped_before_the_new_workers_run(first: Template) -> None:
    services = {
        one["Properties"]["ServiceName"]: (logical, one)
        for logical, one in first["Resources"].items()
        if one["Type"] == "AWS::ECS::Service"
    }
    _, beat = services.pop(BEAT)
    assert {logical for logical, _ in services.values()} <= set(beat["DependsOn"])
    for _, service in services.values():
        rolled = service["Properties"]["DeploymentConfiguration"]
        assert rolled["MinimumHealthyPercent"] == 100
        assert rolled["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}


@pytest.mark.parametrize(
    ("who", "action", "key", "is_allowed"),
    [
        (policies.WORKER, "GetItem", state.signatures(names.ROLLING), True),
        (policies.WORKER, "GetItem", state.newest_signatures(names.ROLLING), True),
        (policies.WORKER, "PutItem", state.newest_signatures(names.ROLLING), True),
        (policies.WORKER, "PutItem", state.refused_build(names.ROLLING), True),
        (policies.WORKER, "PutItem", state.gate(f"low.{names.ROLLING}", "primary", "s1"), True),
        (policies.WORKER, "PutItem", state.signatures(names.ROLLING), False),
        (policies.WORKER, "GetItem", state.signatures("r1"), False),
        (policies.CONTROLLER, "BatchGetItem", state.newest_signatures(names.ROLLING), True),
        (policies.CONTROLLER, "PutItem", state.signatures(names.ROLLING), True),
        (policies.OPERATOR, "GetItem", state.refused_build(names.ROLLING), True),
        (policies.VIEWER, "GetItem", state.refused_build(names.ROLLING), True),
        (policies.DEPLOYER, "GetItem", state.refused_build(names.ROLLING), True),
    ],
)
def test_who_may_know_and_say_what_a_build_takes(
    synthesis: Synthesis, who: str, action: str, key: str, is_allowed: bool
) -> None:
    of = Environment.of(synthesis, ROLLING)
    call = Call(who, f"dynamodb:{action}", STATE, json.dumps({"dynamodb:LeadingKeys": [key]}))
    asks = report.questions([call], ROLLING, of.account, release=names.ROLLING, found=of.policies)
    assert (report.denied(of.policies, of.account, asks) == []) is is_allowed


def test_versioned_releases_have_no_signatures_to_read(blueprint: Synthesis) -> None:
    assert "ReadSignatures" not in json.dumps(blueprint.of("dev", "release-r1"))


def test_its_release_has_one_name() -> None:
    assert release_id(ROLLING, None) == release_id(ROLLING, names.ROLLING) == names.ROLLING
    with pytest.raises(SettingsError, match=r"can't be called 'r2'.*Fix: leave the id out"):
        release_id(ROLLING, "r2")
    with pytest.raises(SettingsError, match=r"can't be called 'rolling'.*Fix: another id"):
        release_id(environments.DEV, names.ROLLING)
    assert build_id(environments.DEV) is None


def test_a_refused_build_is_explained() -> None:
    breaks = ("shop.charge, parameter 'amount': it is gone. Fix: keep it", "shop.refund: the task is gone.")
    lines = outcome.refusal(Refused("s2", 10.0, breaks), since=5.0)
    assert lines[0].startswith("build s2 is refused before it ran a task")
    assert lines[1:3] == [f"  {one}" for one in breaks]
    assert lines[3].endswith("BREAKS=shop.charge,shop.refund")
    assert outcome.refusal(Refused("s1", 1.0, breaks), since=5.0) == []
    assert outcome.refusal(None, since=5.0) == []
