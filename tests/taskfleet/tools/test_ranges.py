"""Chunks cover what they go over, once, whatever its kind."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from taskfleet.tools import ranges


def chunks(place: ranges.Place) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    following: ranges.Place | None = None if ranges.is_empty(place) else place
    while following is not None:
        arguments, following = ranges.chunk(json.loads(json.dumps(following)))
        found.append(arguments)
    return found


@pytest.mark.parametrize(("first", "last", "size"), [(1, 10, 3), (1, 9, 3), (5, 5, 10), (-4, 4, 2)])
def test_every_integer_is_in_one_chunk(first: int, last: int, size: int) -> None:
    found = chunks(ranges.integers(first, last, size=size))
    assert [n for low, high in found for n in range(low, high + 1)] == list(range(first, last + 1))
    assert all(high - low < size for low, high in found)


def test_every_day_is_in_one_chunk() -> None:
    found = chunks(ranges.dates(date(2026, 1, 30), date(2026, 2, 5), days=3))
    assert found == [
        (date(2026, 1, 30), date(2026, 2, 1)),
        (date(2026, 2, 2), date(2026, 2, 4)),
        (date(2026, 2, 5), date(2026, 2, 5)),
    ]


@pytest.mark.parametrize("zone", [None, UTC, ZoneInfo("Europe/Berlin")])
def test_moments_meet_without_a_gap_also_where_clocks_change(zone: Any) -> None:
    first, end = datetime(2026, 3, 28, 20, tzinfo=zone), datetime(2026, 3, 29, 6, tzinfo=zone)
    found = chunks(ranges.datetimes(first, end, step=timedelta(hours=4)))
    assert found[0][0] == first
    assert found[-1][1] == end
    assert all(one[1] == other[0] for one, other in pairwise(found))
    assert all(high - low <= timedelta(hours=4) for low, high in found)


def test_nothing_is_no_chunk() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert chunks(ranges.integers(2, 1, size=5)) == []
    assert chunks(ranges.dates(date(2026, 1, 2), date(2026, 1, 1))) == []
    assert chunks(ranges.datetimes(moment, moment, step=timedelta(1))) == []


def test_after_a_cursor_comes_what_its_chunk_returned() -> None:
    place = ranges.cursor({"after": 7})
    arguments, planned = ranges.chunk(place)
    assert arguments == ({"after": 7},)
    assert ranges.following(place, planned, {"after": 9}) == ranges.cursor({"after": 9})
    assert ranges.following(place, planned, None) is None


@pytest.mark.parametrize(
    "made",
    [
        lambda: ranges.integers(1, 2, size=0),
        lambda: ranges.dates(date(2026, 1, 1), date(2026, 1, 2), days=0),
        lambda: ranges.dates(datetime(2026, 1, 1), date(2026, 1, 2)),
        lambda: ranges.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 2, tzinfo=UTC), step=timedelta(1)),
        lambda: ranges.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 2), step=timedelta(0)),
    ],
)
def test_what_can_not_be_cut_is_refused(made: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        made()
