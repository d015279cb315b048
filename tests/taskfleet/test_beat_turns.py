"""Each release has a beat; that of the current one fires: none is missed, none doubled."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from taskfleet.beat import runs
from taskfleet.beat.turn import LOOK_SECONDS, RENEW_SECONDS, TURN_SECONDS, Ours, Turn, Turns
from taskfleet.contract import environment as env
from taskfleet.contract import names
from taskfleet.contract.leases import CLOCKS_DIFFER_SECONDS
from taskfleet.contract.parameters import NO_RELEASE
from taskfleet.releases.items import from_pointer, from_record, wire
from taskfleet.releases.model import Pointer, registered

from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet.releases.factory import manifest
from tests.taskfleet.turning_beat import SLOT_SECONDS


def point(fleet: TinyFleet, release: str) -> None:
    """What the controller does: the record first, then its published copy."""
    item = wire(from_pointer(Pointer(release, 1)))
    fleet.aws.client("dynamodb").put_item(TableName=names.state_table(fleet.name), Item=item)
    fleet.promote(release)


def fired(fleet: TinyFleet, task: str = "shop.slot") -> list[tuple[int, str]]:
    """The slot and the release of each firing, in the order of time."""
    found = []
    for release in ("r1", "r2"):
        for text in fleet.valkey.client().lrange(names.versioned_queue("low", release), 0, -1):
            headers = json.loads(text)["headers"]
            if headers["task"] == task:
                found.append((float(headers["taskfleet_published_at"]), release))
    return [(int(at // SLOT_SECONDS), release) for at, release in sorted(found)]


def before_a_slot() -> None:
    """The hardest moment: the firing is due while the turn changes hands."""
    time.sleep((SLOT_SECONDS - 0.1 - time.time()) % SLOT_SECONDS)


def test_no_firing_is_missed_and_none_doubled_over_a_promotion_and_a_rollback(fleet: TinyFleet) -> None:
    fleet.deploy("r2")
    point(fleet, "r1")
    for release in ("r1", "r2"):
        variables = {
            env.APP.name: "tests.taskfleet.turning_beat:app",
            env.RELEASE.name: release,
            "PYTHONPATH": str(Path.cwd()),
        }
        fleet.start("beat", fleet.environment(**variables), "beat: Starting")
    wait_for(lambda: fired(fleet), seconds=30, what="the first firing")

    for release in ("r2", "r1"):
        before_a_slot()
        point(fleet, release)
        wait_for(
            lambda release=release: fired(fleet)[-1][1] == release, seconds=30, what=f"a firing of {release}"
        )

    for task in ("shop.slot", "shop.skips"):
        slots = [slot for slot, _ in fired(fleet, task)]
        assert max(Counter(slots).values()) == 1, (task, fired(fleet, task))
        assert slots == list(range(slots[0], slots[-1] + 1)), (task, fired(fleet, task))


class Table:
    """The two items, and a table that may be away."""

    def __init__(self) -> None:
        self.pointer, self.turn, self.now, self.away = "r1", Turn(), 1000.0, False

    def is_current(self, release: str) -> bool:
        self._answers()
        return self.pointer == release

    def read(self) -> Turn:
        self._answers()
        return self.turn

    def write(self, turn: Turn) -> bool:
        self._answers()
        if turn.version != self.turn.version + 1:
            return False
        self.turn = turn
        return True

    def _answers(self) -> None:
        if self.away:
            from botocore.exceptions import EndpointConnectionError

            raise EndpointConnectionError(endpoint_url="dynamodb")

    def beat(self, release: str) -> Beat:
        return Beat(self, release)


class Beat:
    """Whether it may fire; what it was told to note and to take."""

    def __init__(self, table: Table, release: str) -> None:
        self.notes, self.can = list[Any](), True
        self._table = table
        self._ours = Ours(
            release,
            table,  # type: ignore[arg-type]
            give=lambda: bool(self.notes.append("given")) or self.can,
            take=lambda handed: bool(self.notes.append(("taken", handed))) or self.can,
            clock=lambda: table.now,
            wall=lambda: table.now,
        )

    def fires(self, after: float = LOOK_SECONDS) -> bool:
        self._table.now += after
        return self._ours.is_it()


def test_the_turn_goes_to_the_release_that_becomes_current() -> None:
    table = Table()
    blue, green = table.beat("r1"), table.beat("r2")
    assert (blue.fires(), green.fires()) == (True, False)
    table.pointer = "r2"

    assert (green.fires(), blue.fires(), green.fires(), blue.fires()) == (False, False, True, False)
    assert blue.notes == [("taken", False), "given"]
    assert green.notes == [("taken", True)], "and it knows that it was handed over just now"


def test_a_beat_that_can_not_note_what_it_sent_neither_fires_nor_lets_another() -> None:
    table = Table()
    blue, green = table.beat("r1"), table.beat("r2")
    assert blue.fires()
    table.pointer, blue.can = "r2", False

    for _ in range(3):
        assert (blue.fires(), green.fires()) == (False, False)
    blue.can = True
    assert (blue.fires(), green.fires()) == (False, True)


def test_the_turn_of_a_beat_that_is_gone_ends_by_itself() -> None:
    table = Table()
    blue, green = table.beat("r1"), table.beat("r2")
    assert blue.fires()
    table.pointer = "r2"

    assert not green.fires(TURN_SECONDS)
    assert green.fires(CLOCKS_DIFFER_SECONDS + 1)


def test_a_beat_that_was_suspended_notes_nothing_over_what_another_has_sent() -> None:
    table = Table()
    blue, green = table.beat("r1"), table.beat("r2")
    assert blue.fires()
    table.pointer = "r2"
    assert green.fires(TURN_SECONDS + CLOCKS_DIFFER_SECONDS + 1)

    assert not blue.fires()
    assert "given" not in blue.notes


def test_what_was_due_while_a_beat_was_restarted_was_not_handed_over() -> None:
    """Entries with ``catch_up: False`` leave it out, as after any other time without beat."""
    table = Table()
    first = table.beat("r1")
    assert first.fires()
    first._ours.give_back()

    second = table.beat("r1")
    assert second.fires()
    assert second.notes == [("taken", False)]


def test_a_successor_of_the_same_release_takes_it_at_once_and_the_one_before_stops() -> None:
    table = Table()
    first, second = table.beat("r1"), table.beat("r1")
    assert first.fires()
    assert second.fires()

    assert not first.fires(RENEW_SECONDS)
    assert second.fires()


def test_beat_fires_on_while_the_table_is_away_and_not_once_it_stood_still() -> None:
    table = Table()
    beat = table.beat("r1")
    assert beat.fires()
    table.away = True
    for _ in range(200):
        assert beat.fires()

    assert not beat.fires(600)
    table.away = False
    assert beat.fires()


def test_of_two_that_take_it_at_once_one_gets_it(fleet: TinyFleet) -> None:
    turns = Turns(lambda: fleet.aws.client("dynamodb"), names.state_table(fleet.name))
    first, second = (Turn("r1", beat, 1, 5.0, 35.0) for beat in "ab")

    assert (turns.write(first), turns.write(second)) == (True, False)
    assert turns.read() == first
    assert turns.write(Turn("", "a", 2, 6.0, 36.0))
    assert not turns.write(Turn("r1", "b", 2, 6.0, 36.0))


def test_the_fleets_beat_fires_for_releases_that_have_none(fleet: TinyFleet) -> None:
    """Those of the version before; one without a record is such a one."""
    turns = Turns(lambda: fleet.aws.client("dynamodb"), names.state_table(fleet.name))
    assert (turns.is_current(NO_RELEASE), turns.is_current("green")) == (True, False)

    for release, has_beat in (("blue", False), ("green", True), ("blue", False)):
        point(fleet, release)
        record = registered(manifest(release, beat=has_beat), at=1.0, actor="controller")
        item = wire(from_record(record))
        fleet.aws.client("dynamodb").put_item(TableName=names.state_table(fleet.name), Item=item)
        assert turns.is_current(NO_RELEASE) is not has_beat
        assert turns.is_current("green") is has_beat


def test_what_another_releases_entries_ran_last_is_kept_for_a_month() -> None:
    kept = {
        "own": runs.Run(1.0, "x"),
        "other": runs.Run(2.0, "y"),
        "old": runs.Run(-runs.OTHERS_KEPT_SECONDS, "z"),
    }

    assert runs.of_others(kept, ("own",), now=3.0) == {"other": kept["other"]}
