"""The controller is upgraded first: what the version before it wrote is read, moved on and written as it was.

`records_before.json` holds items of the state table and of the producers' table as commit cd56410 wrote
them: a release in each state and some more, and one of each other kind. What today's code writes again is the
same, item by item: so that version reads it, too, if an update of the fleet's stack is rolled back.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from taskfleet.beat import runs
from taskfleet.beat.turn import Turns
from taskfleet.contract import names
from taskfleet.contract import state as keys
from taskfleet.contract.split import Split
from taskfleet.releases import items
from taskfleet.releases.leases import Leases
from taskfleet.releases.model import LIVE, State
from taskfleet.releases.observation import Memory
from taskfleet.releases.plan import plan
from taskfleet.releases.store import Snapshot
from taskfleet.scaling.holds import from_holds, to_holds

from tests.support.ministack import MiniStack
from tests.support.tiny_fleet import TinyFleet
from tests.support.valkey import Valkey
from tests.taskfleet.controller.account import Account
from tests.taskfleet.releases.factory import record, seen

WRITTEN = json.loads(Path(__file__).with_name("records_before.json").read_text())
ITEMS = {item[keys.KEY]: item for item in map(items.plain, WRITTEN["state"])}
RECORDS = {
    item["release"]: items.to_record(item) for key, item in ITEMS.items() if key.startswith(keys.release(""))
}
POINTER = items.to_pointer(ITEMS[keys.POINTER])


def test_every_state_of_the_version_before_is_among_them() -> None:
    assert {record.state for record in RECORDS.values()} == {*State} - {State.CANARY}, "it knew no canary"


def again(item: items.Item) -> items.Item:
    return items.plain(items.wire(item))


def without_manifest(item: items.Item) -> items.Item:
    return {name: value for name, value in item.items() if name != "manifest"}


@pytest.mark.parametrize("release", RECORDS)
def test_a_record_is_written_again_as_it_was(release: str) -> None:
    before, record = ITEMS[keys.release(release)], RECORDS[release]
    written = again(items.from_record(record))
    assert without_manifest(written) == without_manifest(before)
    # That version ignores what it does not know of a manifest.
    assert json.loads(before["manifest"]).items() <= json.loads(written["manifest"]).items()
    assert record == items.to_record(written)


def test_the_pointer_last_runs_and_what_people_hold_are_written_again_as_they_were() -> None:
    assert again(items.from_pointer(POINTER)) == ITEMS[keys.POINTER]
    assert again(runs.to_item(runs.from_item(ITEMS[keys.BEAT_RUNS]))) == ITEMS[keys.BEAT_RUNS]
    assert again(from_holds(to_holds(ITEMS[keys.HOLDS]))) == ITEMS[keys.HOLDS]


def put(aws: Any, name: str) -> None:
    dynamodb = aws.client("dynamodb")
    for table, written in ((names.state_table(name), "state"), (names.producers_table(name), "producers")):
        for item in WRITTEN[written]:
            dynamodb.put_item(TableName=table, Item=item)


def test_the_controller_reads_all_of_them_and_looks(aws: MiniStack, valkey: Valkey) -> None:
    account = Account(aws, valkey)
    put(account.aws, account.name)
    found: Snapshot = account.store.scan()
    assert (found.records, found.pointer) == (RECORDS, POINTER)
    assert found.beat_at == float(ITEMS[keys.BEAT]["at"])
    assert found.holds.by_service
    assert found.verdicts.keys() == {key for key in ITEMS if key.startswith(keys.GATE_CHECKS)}
    assert found.checks[POINTER.release]
    (lease,) = Leases(lambda: account.dynamodb, account.name).list()
    assert lease.releases == (POINTER.release,)

    look = account.controller().look()
    assert look.current == POINTER.release
    assert not [problem for problem in look.problems if "DynamoDB" in problem]
    assert account.store.scan().records.keys() == RECORDS.keys()


def test_beat_takes_its_turn_over_from_the_beat_that_had_it(fleet: TinyFleet) -> None:
    put(fleet.aws, fleet.name)
    turns = Turns(lambda: fleet.aws.client("dynamodb"), names.state_table(fleet.name))
    found = turns.read()
    assert found.release == POINTER.release
    assert found.free_for(POINTER.release, now=found.at)
    assert turns.write(replace(found, beat="another", version=found.version + 1))
    written = fleet.aws.client("dynamodb").get_item(
        TableName=names.state_table(fleet.name), Key=items.wire({keys.KEY: keys.BEAT_TURN})
    )["Item"]
    assert items.plain(written).keys() == ITEMS[keys.BEAT_TURN].keys()


def test_they_are_planned_for_together_and_those_at_rest_are_left_alone() -> None:
    """A manifest that says nothing of sleep: such a release is warm until a person retires it."""
    look = replace(seen(*RECORDS.values()), pointer=POINTER, published=POINTER.to_publish)
    planned = plan(replace(look, now=look.now + 7 * 86400), Memory())
    moved = {getattr(action, "release", None) for action in planned.actions}
    assert {"was-current", "was-drained", "was-failed", "was-retired", "was-paused"} & moved == set()
    # A week later these are late, and said to be: nothing else is.
    late = ("was-retiring", "was-draining", "was-parking")
    assert [problem for problem in planned.problems if not any(name in problem for name in late)] == []


def test_one_that_was_ready_becomes_current_by_a_person_as_before() -> None:
    assert RECORDS["was-ready"].ready
    assert RECORDS["was-drained"].ready
    assert RECORDS["was-current"].state in LIVE
    assert RECORDS["was-retired"].state is State.RETIRED


SPLIT = Split("green", "blue", 0.05)


def test_what_today_adds_comes_back() -> None:
    told = replace(POINTER, split=SPLIT)
    assert items.to_pointer(again(items.from_pointer(told))) == told
    for kept in (
        record("green", State.CANARY),
        record("green", State.DRAINING, rejected="it failed its canary"),
        record("green", State.CURRENT, goes_back_to="blue"),
    ):
        assert items.to_record(again(items.from_record(kept))) == kept


def test_one_in_its_canary_drains_where_an_update_is_rolled_back_to_the_version_before() -> None:
    """It knows neither the state nor the split: its producers publish to blue, and it lets green drain."""
    written = again(items.from_record(record("green", State.CANARY)))
    assert written["state"] == "draining"
    assert set(written) - set(ITEMS[keys.release("was-draining")]) - {"gate_passed_at"} == {"canary"}
    assert again(items.from_pointer(replace(POINTER, split=SPLIT)))["release"] == POINTER.release


def test_one_that_the_version_before_took_for_draining_is_not_in_its_canary_any_more() -> None:
    """What it wrote lacks what it did not know."""
    item = again(items.from_record(record("green", State.CANARY)))
    item.pop("canary")
    assert items.to_record(item).state is State.DRAINING
