"""Rules and dashboard: made from the code's names, asking for what is served, shaped as Grafana takes it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from taskfleet.contract import alarm_catalogue, metrics

from observe import alerts
from observe.dashboard import COLUMNS, ROWS, dashboard
from observe.queries import RECORDED
from observe.rules import rules
from observe.written import texts
from tests.observe import served

# A first screen of 1080 lines shows so many of Grafana's rows.
SCREEN = 24
_NAME = re.compile(r"\b(?:\w+:)?taskfleet_\w+(?::\w+)?")
_LABELS = re.compile(r"(?:by|on|without|ignoring) \(([^)]*)\)|(\w+)(?:=~|!~|!=|=)\"")


def queries() -> list[str]:
    panels = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    asked = [rule["expr"] for group in rules()["groups"] for rule in group["rules"]]
    return panels + asked + [one["query"] for one in dashboard()["templating"]["list"]]


def samples() -> Iterator[tuple[str, dict[str, str]]]:
    for collector in (*served.controller(), *served.worker()):
        for family in collector.collect():
            for sample in family.samples:
                yield sample.name, sample.labels


@pytest.mark.parametrize("path", texts(), ids=lambda path: path.name)
def test_a_file_is_current(path) -> None:
    assert path.read_text() == texts()[path], "run make docs"


@pytest.mark.parametrize("query", queries())
def test_every_series_and_label_of_a_query_is_served_or_recorded(query: str) -> None:
    known = {name for name, _ in samples()} | {each.name for each in RECORDED}
    labels = {label for _, labels in samples() for label in labels}
    asked = {
        label.strip() for grouped, one in _LABELS.findall(query) for label in (grouped or one).split(",")
    }

    assert set(_NAME.findall(query)) <= known
    assert asked <= labels


def test_a_name_that_nobody_serves_is_found() -> None:
    """The check itself: it would pass on queries in which it sees no name."""
    seen = [_NAME.findall(query) for query in queries() if query != "prometheus"]

    assert all(seen)
    assert _NAME.findall('sum(rate(taskfleet_gone_total{a="b"}[5m]))') == ["taskfleet_gone_total"]


def test_the_first_screen_answers_the_three_questions() -> None:
    rows = [panel for panel in dashboard()["panels"] if panel["type"] == "row"]
    first = [row["title"] for row in rows if row["gridPos"]["y"] + ROWS_AND_GRAPHS <= SCREEN]

    assert first == [row.question for row in ROWS[:3]]
    assert all(title.endswith("?") for title in first)


ROWS_AND_GRAPHS = 8


def test_grafana_can_lay_it_out() -> None:
    """What Grafana's schema of a dashboard (kind `dashboard`, timeseries and row panels) asks for."""
    board = dashboard()
    panels: list[dict[str, Any]] = board["panels"]
    places = [panel["gridPos"] for panel in panels]

    assert json.loads(json.dumps(board)) == board
    assert board["schemaVersion"] >= 36  # from which on a datasource is a type and a uid
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {variable["name"] for variable in board["templating"]["list"]} == set(
        re.findall(r"\$\{?(\w+)\}?", json.dumps(panels))
    )
    assert all(place["x"] + place["w"] <= COLUMNS and place["w"] > 0 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    for panel in panels:
        targets = panel.get("targets", [])
        assert bool(targets) is (panel["type"] != "row")
        assert len({target["refId"] for target in targets}) == len(targets)
        assert all(target["expr"] and target["legendFormat"] for target in targets)


def test_every_alarm_on_what_the_controller_publishes_has_its_alert() -> None:
    made = {alert["runbook"] for alert in (alerts.rule(alarm)["annotations"] for alarm in alerts.alarms())}
    wanted = {
        alarm.runbook
        for alarm in alarm_catalogue.CATALOGUE.values()
        if alarm.for_a_person and alarm.metric in metrics.METRICS
    }

    assert made == wanted
    assert len(made) >= 9


def test_a_pool_whose_minimum_is_one_has_no_alert_for_less() -> None:
    """It is no-worker's, as in CloudWatch."""
    assert alerts.rule(alarm_catalogue.CATALOGUE["below-minimum"])["expr"].endswith(
        "and taskfleet_pool_min_workers >= 2"
    )
