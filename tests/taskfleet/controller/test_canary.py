"""A controller that begins a canary, judges it by what workers counted, and rolls back a bake that fails."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from taskfleet.contract import figures, parameters
from taskfleet.contract.alarm_catalogue import of_release
from taskfleet.contract.manifest import AUTOMATIC, Canary, ReleaseManifest
from taskfleet.contract.split import Split
from taskfleet.controller.controller import Controller
from taskfleet.releases.model import State

from drills.releases.alarms import put_in_state
from tests.support.ministack import MiniStack
from tests.support.valkey import Valkey
from tests.taskfleet.controller.account import Account

CANARY = Canary(share=0.1, seconds=120, runs=50)


@pytest.fixture
def account(aws: MiniStack, valkey: Valkey) -> Account:
    valkey.client().flushall()
    return Account(aws, valkey)


def brought_up(account: Account, release: str, controller: Controller, **settings: Any) -> ReleaseManifest:
    """Deployed, and its gate has passed."""
    made = account.deploy(release, promotion=AUTOMATIC, **settings)
    controller.look()
    account.run_gates(made)
    account.pass_time(controller, 1)
    return made


def split(account: Account) -> str:
    name = parameters.canary_release(account.name)
    found = account.ssm.get_parameters(Names=[name])["Parameters"]
    return str(found[0]["Value"]) if found else "never written"


def count(account: Account, release: str, *, runs: int, failed: int = 0, bucket: int = 30) -> None:
    """What the workers of a release have counted."""
    counts = {
        f"{figures.OUTCOME}:{figures.SUCCEEDED}": runs - failed,
        f"{figures.OUTCOME}:{figures.FAILED}": failed,
        f"{figures.RUNTIME}:{bucket}": runs,
    }
    minute = int(account.clock() // 60)
    key = figures.key(account.name, release, minute)
    account.redis.hset(key, figures.name("low", "shop.pay"), json.dumps(counts))


def alarms(account: Account, made: ReleaseManifest, state: str) -> None:
    """Just before they are looked at: without data MiniStack sets them to INSUFFICIENT_DATA in a minute."""
    put_in_state(account.cloudwatch, of_release(account.name, made), state)


def reason(account: Account, release: str) -> str:
    return account.store.scan().records[release].history[-1].reason


def test_a_canary_begins_beside_blue_and_passes(account: Account) -> None:
    controller = account.controller()
    brought_up(account, "blue", controller)
    brought_up(account, "green", controller, canary=CANARY)
    assert account.states() == {"blue": "current", "green": "canary"}
    assert account.published() == "blue", "for producers of the version before"
    assert Split.from_json(split(account)) == Split("green", "blue", 0.1)

    count(account, "blue", runs=900, failed=9)
    count(account, "green", runs=100, failed=1)
    account.pass_time(controller, 11)
    assert account.states()["green"] == "canary"
    assert "100 runs, 1 of them bad (1.0 in the current release)" in controller.last.releases[1].judged  # type: ignore[union-attr]
    account.pass_time(controller, 2)
    assert account.states() == {"blue": "draining", "green": "current"}
    assert (account.published(), split(account)) == ("green", parameters.NO_RELEASE)
    assert "its canary has passed" in reason(account, "green")


def test_one_that_fails_more_is_ended_at_once_and_drains(account: Account) -> None:
    controller = account.controller()
    brought_up(account, "blue", controller)
    brought_up(account, "green", controller, canary=CANARY)
    count(account, "blue", runs=900, failed=9)
    count(account, "green", runs=60, failed=30)
    account.pass_time(controller, 1)

    assert account.states() == {"blue": "current", "green": "draining"}
    assert (account.published(), split(account)) == ("blue", parameters.NO_RELEASE)
    record = account.store.scan().records["green"]
    assert record.rejected == reason(account, "green")
    assert "more of its tasks fail: 30 of 60 runs" in record.rejected
    account.pass_time(controller, 60)
    assert account.states() == {"blue": "current", "green": "drained"}, "it does not become current by itself"


def test_one_that_is_slower_fails_and_too_few_runs_pass_with_a_note(account: Account) -> None:
    controller = account.controller()
    brought_up(account, "blue", controller)
    brought_up(account, "green", controller, canary=CANARY)
    count(account, "blue", runs=900, bucket=30)
    count(account, "green", runs=90, bucket=34)
    account.pass_time(controller, 1)
    assert "its tasks take 2.00 times as long" in reason(account, "green")

    brought_up(account, "next", controller, canary=CANARY)
    count(account, "next", runs=5)
    account.pass_time(controller, 13)
    assert account.states()["next"] == "canary", "it waits for more"
    account.pass_time(controller, 12)
    assert account.states()["next"] == "current"
    assert "too few runs to compare" in reason(account, "next")


def test_while_redis_does_not_tell_a_canary_waits_and_fails_in_the_end(account: Account) -> None:
    controller = account.controller()
    brought_up(account, "blue", controller)
    brought_up(account, "green", controller, canary=CANARY)
    account.valkey.stop()
    try:
        account.pass_time(controller, 13)
        assert account.states()["green"] == "canary"
        account.pass_time(controller, 12)
        assert account.states()["green"] == "draining"
        assert "Redis did not tell" in reason(account, "green")
    finally:
        account.valkey.start()


def test_a_newer_release_ends_an_older_ones_canary(account: Account) -> None:
    controller = account.controller()
    brought_up(account, "blue", controller)
    brought_up(account, "green", controller, canary=CANARY)
    brought_up(account, "later", controller, canary=CANARY)
    assert account.states() == {"blue": "current", "green": "draining", "later": "canary"}
    assert Split.from_json(split(account)).release == "later"
    assert account.store.scan().records["green"].rejected is None


def test_alarms_that_ring_in_the_bake_bring_blue_back(account: Account) -> None:
    controller = account.controller()
    brought_up(account, "blue", controller, warm_seconds=0)
    green = brought_up(account, "green", controller, bake_seconds=120)
    assert account.store.scan().records["green"].goes_back_to == "blue"
    account.clock.now -= 20  # MiniStack has times of its own: the alarms ring later than the promotion
    account.pass_time(controller, 8)
    alarms(account, green, "OK")
    account.pass_time(controller, 1)
    assert account.states() == {"blue": "drained", "green": "current"}, "warm while it may be gone back to"
    assert controller.last.releases[0].judged == "none rings"  # type: ignore[union-attr]

    record = account.store.scan().records["green"]
    account.store.save(replace(record, since=record.since - 100, version=record.version + 1))
    (*_, name) = of_release(account.name, green)
    account.cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")
    account.pass_time(controller, 1)

    assert account.states() == {"blue": "current", "green": "draining"}
    assert account.published() == "blue"
    record = account.store.scan().records["green"]
    assert record.rejected == f"release green failed its bake: in ALARM: {name}"
    assert record.state is State.DRAINING


def test_a_bake_without_an_alarm_ends(account: Account) -> None:
    controller = account.controller()
    brought_up(account, "blue", controller)
    green = brought_up(account, "green", controller, bake_seconds=120)
    account.pass_time(controller, 13)
    assert account.store.scan().records["green"].goes_back_to == "blue", "nothing is known of its alarms"
    alarms(account, green, "OK")
    account.pass_time(controller, 1)
    assert account.store.scan().records["green"].goes_back_to is None
    assert reason(account, "green") == "its bake is over: none of its alarms rang"


def test_a_later_release_waits_for_the_bake_of_the_current_one(account: Account) -> None:
    controller = account.controller()
    brought_up(account, "blue", controller)
    green = brought_up(account, "green", controller, bake_seconds=120)
    brought_up(account, "later", controller)
    assert account.states()["later"] == "gating"
    account.pass_time(controller, 12)
    alarms(account, green, "OK")
    account.pass_time(controller, 1)
    assert account.states() == {"blue": "drained", "green": "draining", "later": "current"}
