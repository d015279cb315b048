"""How the drills of the toolkit count."""

from __future__ import annotations

import pytest

from drills.tools.drills import most_at_once, most_within


@pytest.mark.parametrize(
    ("spans", "most"),
    [([], 0), ([(0, 1), (1, 2)], 1), ([(0, 3), (1, 2), (1.5, 4)], 3), ([(0, 5), (6, 7)], 1)],
)
def test_the_most_at_once(spans: list[tuple[float, float]], most: int) -> None:
    assert most_at_once(spans) == most


def test_the_most_within_a_second() -> None:
    assert most_within([0.0, 0.5, 0.9, 1.2, 1.4], 1.0) == 4
    assert most_within([], 1.0) == 0
