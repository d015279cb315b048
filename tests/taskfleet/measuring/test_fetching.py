"""Since when nobody fetches what waits, look by look."""

from __future__ import annotations

import pytest
from taskfleet.measuring.fetching import Fetching


def seen(*looks: tuple[int, int, bool]) -> list[float]:
    """What each look says, ten seconds apart: waiting, taken so far, and whether a slot is free."""
    found, before = [], None
    for number, (waiting, taken, free) in enumerate(looks):
        now = Fetching(at=1000.0 + 10 * number, waiting=waiting, taken=taken, free=free)
        before = Fetching(**{**vars(now), "since": now.after(before)})
        found.append(before.seconds)
    return found


@pytest.mark.parametrize(
    ("looks", "seconds"),
    [
        ([(5, 7, True)] * 4, [0, 10, 20, 30]),
        ([(5, 7, True), (4, 8, True), (3, 9, True)], [0, 0, 0]),  # one was fetched between the looks
        ([(5, 7, False)] * 3, [0, 0, 0]),  # full of long tasks
        ([(5, 7, False), (5, 7, True), (5, 7, True)], [0, 0, 10]),  # counts from the first free slot on
        ([(0, 7, True), (5, 7, True), (6, 7, True)], [0, 0, 10]),  # and from when something waited
        ([(5, 7, True), (6, 7, True), (5, 8, True), (5, 8, True)], [0, 10, 0, 10]),
        ([(5, 7, True), (5, 7, True), (0, 7, True)], [0, 10, 0]),
        ([(5, 7, True), (5, 0, True)], [0, 0]),  # a broker that is new
    ],
)
def test_what_waits_is_not_fetched(looks: list[tuple[int, int, bool]], seconds: list[float]) -> None:
    assert seen(*looks) == seconds
