"""Grafana's dashboard: three questions, a row for each, and what helps to find out why below them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from taskfleet.contract import metrics
from taskfleet.controller.prometheus import RELEASES, gauge, pool_gauge
from taskfleet.measuring import families

from observe import queries as q

COLUMNS = 24
ROW_HEIGHT, PANEL_HEIGHT = 1, 7
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_HERE = '{environment="$environment"}'


@dataclass(frozen=True)
class Line:
    """A query and what its series are called."""

    query: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """A graph; ``unit`` is Grafana's."""

    title: str
    lines: Sequence[Line]
    unit: str = "short"


@dataclass(frozen=True)
class Row:
    """Panels side by side below what they answer."""

    question: str
    panels: Sequence[Panel]


def _by_pool(metric: metrics.Metric, legend: str = "{{pool}} {{release}}") -> Line:
    return Line(gauge(metric) + _HERE, legend)


def _setting(figure: str, legend: str) -> Line:
    return Line(f"max by (pool) ({pool_gauge(figure)}{_HERE})", legend)


def _most(recorded: q.Recorded) -> Line:
    return Line(f"topk(10, {recorded.name}{_HERE})", "{{task}} ({{queue}})")


_LATER = f"{q.RUNTIME_P95.name}{_HERE} / ({q.RUNTIME_P95.name}{_HERE} offset 1d)"

ROWS = (
    Row(
        "How long do tasks wait in the queue?",
        (
            Panel(
                "Oldest message, and the pool's target",
                (_by_pool(metrics.OLDEST_AGE), _setting("latency_target_seconds", "{{pool}} target")),
                "s",
            ),
            Panel("Wait, half of the tasks", (Line(q.WAIT_P50.name + _HERE, "{{queue}} {{release}}"),), "s"),
            Panel("Wait, 95 in 100", (Line(q.WAIT_P95.name + _HERE, "{{queue}} {{release}}"),), "s"),
            Panel("Wait, 99 in 100", (Line(q.WAIT_P99.name + _HERE, "{{queue}} {{release}}"),), "s"),
        ),
    ),
    Row(
        "Does the configuration handle the load?",
        (
            Panel("Messages waiting", (_by_pool(metrics.WAITING),)),
            Panel(
                "Workers, and the most there may be",
                (_by_pool(metrics.RUNNING_WORKERS), _setting("max_workers", "{{pool}} most")),
            ),
            Panel("Workers missing (below 0: too many)", (_by_pool(metrics.CAPACITY_GAP),)),
            Panel("Slots in use", (Line(q.BUSY.name + _HERE, "{{pool}} {{release}}"),), "percentunit"),
            Panel(
                "Tasks that arrive and that end, each second",
                (
                    Line(pool_gauge("arrivals_per_second") + _HERE, "{{pool}} {{release}} arrive"),
                    Line(pool_gauge("completions_per_second") + _HERE, "{{pool}} {{release}} end"),
                ),
            ),
        ),
    ),
    Row(
        "What is the degradation?",
        (
            Panel("Run time, half of the runs, slowest tasks", (_most(q.RUNTIME_P50),), "s"),
            Panel("Run time, 95 in 100, slowest tasks", (_most(q.RUNTIME_P95),), "s"),
            Panel("… times that of a day ago", (Line(f"topk(10, {_LATER})", "{{task}} ({{queue}})"),)),
            Panel("Share that fails", (_most(q.FAILING),), "percentunit"),
            Panel("Share that is retried", (_most(q.RETRYING),), "percentunit"),
        ),
    ),
    Row(
        "Brokers, workers and releases",
        (
            Panel(
                "Answers (1) or not (0)",
                (_by_pool(metrics.BROKER_UP, "Redis"), _by_pool(metrics.FALLBACK_UP, "SQS")),
            ),
            Panel(
                "Runs each second",
                (Line(f"sum by (queue, outcome) ({q.RUNS.name}{_HERE})", "{{queue}} {{outcome}}"),),
            ),
            Panel("Messages on SQS", (_by_pool(metrics.FALLBACK_WAITING),)),
            Panel(
                "Should be zero",
                (
                    _by_pool(metrics.NEW_DEAD_LETTERS, "new dead letters"),
                    _by_pool(metrics.DRAIN_OVERDUE, "drains overdue"),
                    _by_pool(metrics.FAILED_WORKERS, "workers of {{pool}} that ended unasked"),
                ),
            ),
            Panel(
                "Memory after a task, 95 in 100",
                (
                    Line(
                        f"histogram_quantile(0.95, sum by (task, le) (rate({families.MEMORY}_bucket"
                        f'{{pool="", environment="$environment"}}[{q.WINDOW}])))',
                        "{{task}}",
                    ),
                ),
                "bytes",
            ),
            Panel(
                "Releases", (Line(f"sum by (release, state) ({RELEASES}{_HERE})", "{{release}} {{state}}"),)
            ),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    """As Grafana imports it: Dashboards, New, Import."""
    return {
        "uid": "taskfleet",
        "title": "Taskfleet",
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": [{"id": number, **one} for number, one in enumerate(_laid_out(), start=1)],
    }


def _variables() -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        {
            "name": "environment",
            "label": "Environment",
            "type": "query",
            "datasource": _SOURCE,
            "query": f"label_values({gauge(metrics.CONTROLLER_TICK)}, environment)",
            "refresh": 2,
        },
    ]


def _laid_out() -> Iterator[dict[str, Any]]:
    y = 0
    for row in ROWS:
        yield {
            "type": "row",
            "title": row.question,
            "collapsed": False,
            "panels": [],
            "gridPos": _at(0, y, COLUMNS, 1),
        }
        y += ROW_HEIGHT
        edges = [COLUMNS * number // len(row.panels) for number in range(len(row.panels) + 1)]
        for panel, left, right in zip(row.panels, edges, edges[1:], strict=False):
            yield {**_panel(panel), "gridPos": _at(left, y, right - left, PANEL_HEIGHT)}
        y += PANEL_HEIGHT


def _at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "expr": line.query,
                "legendFormat": line.legend,
                "datasource": _SOURCE,
            }
            for number, line in enumerate(panel.lines)
        ],
    }
