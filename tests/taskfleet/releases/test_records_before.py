"""The controller is upgraded first: it reads the records that the version before it wrote, and moves them on.

`records_before.json` holds items as commit dbadb8b wrote them, one of each state and some more.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from taskfleet.contract import state as keys
from taskfleet.releases import items
from taskfleet.releases.model import LIVE, State
from taskfleet.releases.observation import Memory
from taskfleet.releases.plan import plan

from tests.taskfleet.releases.factory import seen

ITEMS = [
    items.plain(item) for item in json.loads(Path(__file__).with_name("records_before.json").read_text())
]
RECORDS = {item["release"]: items.to_record(item) for item in ITEMS if item[keys.KEY] != keys.POINTER}
POINTER = next(items.to_pointer(item) for item in ITEMS if item[keys.KEY] == keys.POINTER)


def test_every_state_of_the_version_before_is_among_them() -> None:
    assert {"registered", "gating", "current", "draining", "drained", "retired", "failed"} <= {
        str(record.state) for record in RECORDS.values()
    }


@pytest.mark.parametrize("release", RECORDS)
def test_a_record_is_written_again_without_a_loss(release: str) -> None:
    (before,) = (item for item in ITEMS if item.get("release") == release and item[keys.KEY] != keys.POINTER)
    again = items.plain(items.wire(items.from_record(RECORDS[release])))
    assert before.items() <= {**again, "manifest": before["manifest"]}.items() or before == again
    assert RECORDS[release] == items.to_record(again)


def test_they_are_planned_for_together_and_those_at_rest_are_left_alone() -> None:
    """A manifest of that version says nothing of sleep: such a release is warm until a person retires it."""
    look = replace(seen(*RECORDS.values()), pointer=POINTER, published=POINTER.release)
    planned = plan(replace(look, now=look.now + 7 * 86400), Memory())
    moved = {getattr(action, "release", None) for action in planned.actions}
    assert {"was-current", "was-drained", "was-failed", "was-retired"} & moved == set()
    # A week later these are late, and said to be: nothing else is.
    late = ("was-retiring", "was-draining")
    assert [problem for problem in planned.problems if not any(name in problem for name in late)] == []


def test_one_that_was_ready_becomes_current_by_a_person_as_before() -> None:
    assert RECORDS["was-ready"].ready
    assert RECORDS["was-drained"].ready
    assert RECORDS["was-current"].state in LIVE
    assert RECORDS["was-retired"].state is State.RETIRED
