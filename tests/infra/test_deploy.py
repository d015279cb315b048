"""How `make deploy` and its neighbours begin: whom they ask, and with which credentials."""

from __future__ import annotations

import importlib

import boto3
import moto
import pytest
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
