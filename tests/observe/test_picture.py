"""The picture of the first screen: every panel of it, its series, and what has none."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

from observe.dashboard import ROWS
from observe.picture import FIRST_SCREEN, shown, svg

PANELS = [panel for row in ROWS[:FIRST_SCREEN] for panel in row.panels]


def drawn(found: list[dict[str, Any]]) -> tuple[list[str], list[list[tuple[float, float]]], list[str]]:
    """Texts and lines of the picture, and what was asked."""
    asked: list[str] = []

    def ask(query: str) -> list[dict[str, Any]]:
        asked.append(query)
        return found

    picture = ET.fromstring(svg(ask, 0.0, 100.0))  # noqa: S314 - ours
    texts = [str(element.text) for element in picture.iter() if element.tag.endswith("text")]
    lines = [
        [(float(x), float(y)) for x, y in re.findall(r"([\d.-]+),([\d.-]+)", element.attrib["points"])]
        for element in picture.iter()
        if element.tag.endswith("polyline")
    ]
    return texts, lines, asked


def test_each_panel_asks_its_queries_and_draws_what_they_find() -> None:
    found = [{"metric": {"pool": "low", "release": "<r1>"}, "values": [[0, "0"], [50, "4"], [100, "NaN"]]}]
    texts, lines, asked = drawn(found)

    assert len(asked) == len(lines) == sum(len(panel.lines) for panel in PANELS)
    assert not [query for query in asked if "$" in query]
    assert {panel.title for panel in PANELS} <= set(texts)
    assert {row.question for row in ROWS[:FIRST_SCREEN]} <= set(texts)
    assert "low <r1>" in texts
    assert "no data" not in texts
    for (left, low), (middle, high) in lines:  # what is no number is no point
        assert (left < middle, low > high) == (True, True)


def test_a_panel_without_data_says_so_and_one_with_many_how_many_more() -> None:
    texts, lines, _ = drawn([])
    assert (texts.count("no data"), lines) == (len(PANELS), [])

    many = [{"metric": {"pool": f"p{number}"}, "values": [[0, "1"]]} for number in range(9)]
    assert "and 5 more" in drawn(many)[0]


def test_values_of_an_axis_are_short() -> None:
    assert [shown(0, "s"), shown(0.25, "s"), shown(12.345, "s")] == ["0 s", "250 ms", "12.3 s"]
    assert [shown(0.5, "percentunit"), shown(0.25, "short"), shown(12000, "short")] == [
        "50%",
        "0.25",
        "12,000",
    ]
