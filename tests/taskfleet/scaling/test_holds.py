"""What a person sets holds, and ends by itself."""

from __future__ import annotations

import pytest
from taskfleet.scaling import holds
from taskfleet.scaling.holds import Hold, Holds, from_holds, to_holds

NOW = 1_790_000_000.0
FOUR = Hold(workers=4, until=NOW + 60, actor="ann")


@pytest.mark.parametrize(("desired", "gap"), [(1, 3), (4, 0), (9, -5), (None, None)])
def test_the_alarms_are_told_the_way_to_what_is_held(desired: int | None, gap: int | None) -> None:
    assert holds.gap(FOUR, desired, measured=7) == gap


def test_without_a_hold_the_measured_gap_counts() -> None:
    assert holds.gap(None, 1, measured=7) == 7


def test_a_hold_ends_and_is_forgotten_by_the_next_change() -> None:
    held = Holds().changed("low-r1", FOUR, now=NOW)
    assert held.at(NOW + 59) == {"low-r1": FOUR}
    assert held.at(NOW + 60) == {}
    later = held.changed("high-r1", FOUR, now=NOW + 61)
    assert (set(later.by_service), later.version) == ({"high-r1"}, 2)
    assert later.changed("high-r1", None, now=NOW).by_service == {}


def test_the_state_table_gives_back_what_it_was_given() -> None:
    held = Holds().changed("low-r1", FOUR, now=NOW)
    assert to_holds(from_holds(held)) == held
