"""A command before the gate: in the release's manifest, and what the controller may do for it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from taskfleet.contract import names, parameters
from taskfleet.contract.manifest import BeforeGate, ReleaseManifest
from taskfleet.errors import SettingsError

from infra.checks.access import implied
from infra.checks.access.policies import CONTROLLER, OPERATOR
from infra.constructs.manifest import release_manifest
from local.emulator.calls import Asked, Place, asked
from tests.infra.synthesis import RELEASE, Synthesis, of_type
from tests.infra.test_access import Environment
from tests.infra.variants import MIXED
from tests.support import reference as environments

HERE = Place(MIXED.region, MIXED.account)
CLUSTER = names.cluster("dev")


def started(pool: str) -> Asked:
    """The question that RunTask brings, of a pool's workers' definition."""
    family = names.task_family("dev", names.service(pool, RELEASE))
    (question,) = asked("ecs", "RunTask", {"cluster": CLUSTER, "taskDefinition": f"{family}:1"}, HERE)
    return question


def test_the_manifest_has_it(mixed: Synthesis) -> None:
    name = parameters.release_manifest("dev", RELEASE)
    found = of_type(mixed.of("dev", f"release-{RELEASE}"), "AWS::SSM::Parameter").values()
    (text,) = [json.dumps(one["Value"]) for one in found if one["Name"] == name]
    value = json.loads(text)
    plain = (
        value if isinstance(value, str) else "".join(p for p in value["Fn::Join"][1] if isinstance(p, str))
    )

    assert ReleaseManifest.from_json(plain).before_gate == BeforeGate(
        MIXED.before_gate, pool="low", timeout_seconds=MIXED.before_gate_timeout_seconds
    )


def test_one_that_is_too_long_is_refused_at_synth_with_what_to_do() -> None:
    """ECS would take twice as much (RunTask's overrides), the parameter that it is read from does not."""
    long = replace(MIXED, before_gate=("python", "-c", "x" * 4000))

    with pytest.raises(SettingsError, match=r"bytes, 40\d\d of them before_gate, .* script of the image"):
        release_manifest(long, release="r1", image="x")


@pytest.mark.parametrize("who", [CONTROLLER, OPERATOR])
def test_it_may_be_started_and_read_where_it_is(mixed: Synthesis, who: str) -> None:
    of, start = Environment.of(mixed, MIXED), started("low")
    service = names.service("low", RELEASE)
    stream = {"logGroupName": names.log_group("dev", service), "logStreamName": f"{service}/taskfleet/1"}
    roles = list(implied.of_roles(start, of.account))
    (read,) = asked("logs", "GetLogEvents", stream, HERE)
    (stop,) = asked("ecs", "StopTask", {"cluster": CLUSTER, "task": "1"}, HERE)

    assert len(roles) == 2
    for question in (start, *roles, read, stop):
        assert of.allows(who, question), question


def test_the_controller_starts_nothing_else_and_hands_over_no_other_role(mixed: Synthesis) -> None:
    of = Environment.of(mixed, MIXED)
    to_ecs = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    own = f"arn:aws:iam::{HERE.account}:role/taskfleet-dev-fleet-ControllerTaskRole"
    worker = f"arn:aws:iam::{HERE.account}:role{names.release_roles('dev')}TaskRole"
    elsewhere = {"cluster": "taskfleet-prod", "taskDefinition": "taskfleet-dev-low-r1:1"}

    for question in (
        started("high"),
        *asked("ecs", "RunTask", elsewhere, HERE),
        Asked("iam:PassRole", own, to_ecs),
        Asked("iam:PassRole", worker, {"iam:PassedToService": "lambda.amazonaws.com"}),
    ):
        assert not of.allows(CONTROLLER, question), question


def test_without_one_the_controller_starts_nothing(blueprint: Synthesis) -> None:
    assert not Environment.of(blueprint, environments.DEV).allows(CONTROLLER, started("low"))
