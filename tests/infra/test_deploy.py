"""How `make deploy` and its neighbours begin: whom they ask, and with which credentials."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace

import boto3
import moto
import pytest
from botocore.exceptions import ClientError
from taskfleet.contract import names
from taskfleet.contract import state as keys
from taskfleet.releases.model import State
from taskfleet.releases.store import Store

from infra import deploy
from infra.settings import Settings
from tests.support import reference as environments
from tests.taskfleet.releases.factory import manifest, record


@pytest.mark.parametrize(
    ("settings", "terminal", "asks"),
    [
        (environments.DEV, True, True),
        (environments.DEV, False, False),  # in CI
        (environments.LOCAL, True, False),
    ],
)
def test_the_cdk_asks_for_approval_where_somebody_can_answer(
    settings: Settings, terminal: bool, asks: bool
) -> None:
    assert deploy._approval(settings, terminal=terminal) == ([] if asks else ["--require-approval", "never"])


@pytest.mark.parametrize("command", ["preflight.__main__", "deploy", "destroy"])
def test_a_profile_that_does_not_exist_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nope")
    monkeypatch.setattr("sys.argv", [command, "dev", *([] if "preflight" in command else ["--", "false"])])

    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"infra.{command}").main()

    assert "nope" in str(ended.value.code)
    assert "aws configure list-profiles" in str(ended.value.code)


def _runs(settings: Settings, status: str | None, codes: dict[str, int], *words: str) -> list[str]:
    """The commands that a deploy runs, and what it deletes, with a release's stack in this state."""
    done: list[str] = []
    stack = {"StackName": "x", "Tags": [], "StackStatus": status}
    found = [{**stack, "Tags": tags(settings)}] if status else []

    class Cloudformation:
        def describe_stacks(self, StackName: str) -> dict[str, object]:  # noqa: N803 - boto3's
            gone = not found or "release" not in StackName
            if gone and "release" in StackName:
                raise ClientError({"Error": {"Code": "ValidationError", "Message": "does not exist"}}, "x")
            return {"Stacks": [{**stack, "StackStatus": "CREATE_COMPLETE"}] if gone else found}

        def delete_stack(self, StackName: str) -> None:  # noqa: N803
            done.append(f"delete {StackName}")
            found.clear()

    def run(command: Sequence[str]) -> int:
        done.append(" ".join(command))
        return next((code for word, code in codes.items() if word in command), 0)

    code = deploy.deploy(settings, Cloudformation(), ["cdk", "deploy", *words], run=run, release="r2")
    return [*done, str(code)]


def tags(settings: Settings) -> list[dict[str, str]]:
    wanted = names.stack_tags(settings.name, settings.owner)
    return [{"Key": key, "Value": value} for key, value in wanted.items()]


BASE = "cdk deploy dev/network dev/broker dev/fleet"
OWN = "cdk deploy dev/release-r2 --exclusively --no-rollback"
ALL = "cdk deploy dev/*"
AT_ONCE = replace(environments.DEV, keep_failed_seconds=0)


@pytest.mark.parametrize(
    ("settings", "status", "codes", "done"),
    [
        (environments.DEV, None, {}, [BASE, OWN, "0"]),
        (environments.DEV, "CREATE_COMPLETE", {}, [ALL, "0"]),
        (environments.DEV, "UPDATE_ROLLBACK_COMPLETE", {}, [ALL, "0"]),
        (environments.DEV, "CREATE_FAILED", {}, ["delete taskfleet-dev-release-r2", BASE, OWN, "0"]),
        (environments.DEV, "DELETE_FAILED", {}, ["delete taskfleet-dev-release-r2", BASE, OWN, "0"]),
        (environments.DEV, None, {"dev/network": 1}, [BASE, "1"]),
        (environments.DEV, None, {"--no-rollback": 1}, [BASE, OWN, "1"]),
        (AT_ONCE, None, {}, [ALL, "0"]),
        (AT_ONCE, "CREATE_FAILED", {}, ["delete taskfleet-dev-release-r2", ALL, "0"]),
    ],
)
def test_only_a_release_that_is_made_is_left_when_that_fails(
    settings: Settings, status: str | None, codes: dict[str, int], done: list[str]
) -> None:
    assert _runs(settings, status, codes, "dev/*") == done


def test_a_command_that_names_its_stacks_is_run_as_it_is() -> None:
    assert _runs(environments.DEV, None, {}, "dev/fleet") == ["cdk deploy dev/fleet", "0"]


@moto.mock_aws
def test_the_fleets_beat_stays_until_the_last_release_without_one_of_its_own_has_gone_to_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    dynamodb = boto3.client("dynamodb", region_name="us-east-1")
    store = Store(dynamodb, "dev")
    assert deploy.fleet_beat(store) == [], "the first deploy of an environment"
    dynamodb.create_table(
        TableName=names.state_table("dev"),
        KeySchema=[{"AttributeName": keys.KEY, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": keys.KEY, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    # Of the version before; then one of today's beside it.
    store.create(record("blue", State.CURRENT, version=1))
    assert deploy.fleet_beat(store) == ["-c", "fleet-beat=kept"]
    store.create(record("green", State.CURRENT, manifest=manifest("green", beat=True), version=1))
    for state, kept in ((State.DRAINING, True), (State.DRAINED, True), (State.ASLEEP, False)):
        store.save(record("blue", state, version=store.scan().records["blue"].version + 1))
        assert bool(deploy.fleet_beat(store)) is kept, state
