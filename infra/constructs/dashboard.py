"""The dashboard: does the fleet keep up, do tasks get slower, how long do tasks wait. On one screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct
from taskfleet.contract import metrics, names

from infra.settings import Settings

_PERIOD_SECONDS = 60
_HEIGHT = 5
_COLUMNS = 24


@dataclass(frozen=True)
class _Graph:
    title: str
    lines: Sequence[cloudwatch.IMetric]


@dataclass(frozen=True)
class _Row:
    question: str
    graphs: Sequence[_Graph]


class FleetDashboard(Construct):
    """Three questions, a row for each, and a row for the brokers.

    What releases publish is found by search: they come and go, and a new one's pools appear by themselves.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        super().__init__(scope, id)
        self._settings = settings
        board = cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=names.dashboard(settings.name, settings.region),
            default_interval=Duration.hours(3),
        )
        for row in (self._load(), self._speed(), self._wait(), self._brokers()):
            board.add_widgets(cloudwatch.TextWidget(markdown=f"## {row.question}", width=_COLUMNS, height=1))
            width = _COLUMNS // len(row.graphs)
            board.add_widgets(*(self._widget(graph, width) for graph in row.graphs))

    def _load(self) -> _Row:
        return _Row(
            "Does the fleet keep up with the load?",
            (
                _Graph("Messages waiting", [self._search(metrics.WAITING)]),
                _Graph("Workers missing (below 0: too many)", [self._search(metrics.CAPACITY_GAP)]),
                _Graph("Workers running", [self._search(metrics.RUNNING_WORKERS)]),
                _Graph("Messages in flight", [self._search(metrics.UNACKNOWLEDGED)]),
                _Graph("Workers that ended unasked, in five minutes", [self._search(metrics.FAILED_WORKERS)]),
            ),
        )

    def _speed(self) -> _Row:
        return _Row(
            "Do tasks get slower?",
            (
                _Graph("Run time, median, seconds", [self._search(metrics.TASK_RUNTIME, "p50")]),
                _Graph("Run time of 99 in 100, seconds", [self._search(metrics.TASK_RUNTIME, "p99")]),
                _Graph("Tasks finished per minute", [self._search(metrics.TASK_RUNTIME, "SampleCount")]),
                _Graph("Tasks that expired, per minute", [self._search(metrics.TASKS_EXPIRED, "Sum")]),
            ),
        )

    def _wait(self) -> _Row:
        return _Row(
            "How long do tasks wait?",
            (
                _Graph("Oldest waiting message, seconds", [self._search(metrics.OLDEST_AGE)]),
                _Graph("Wait, median, seconds", [self._search(metrics.TASK_WAIT, "p50")]),
                _Graph("Wait of 99 in 100, seconds", [self._search(metrics.TASK_WAIT, "p99")]),
            ),
        )

    def _brokers(self) -> _Row:
        answering = [self._search(m, "Minimum") for m in (metrics.BROKER_UP, metrics.FALLBACK_UP)]
        name, broker, cache = self._settings.name, self._settings.broker, self._settings.results_cache
        nodes = names.broker_nodes(names.results_cache(name), cache.nodes if cache else 0)
        results = [_Graph("Cache for results, percent", self._nodes(nodes))] if nodes else []
        nothing = (metrics.NEW_DEAD_LETTERS, metrics.DRAIN_OVERDUE, metrics.ETAS_LATE)
        zero = [self._search(m) for m in nothing]
        return _Row(
            "Brokers and releases",
            (
                _Graph("Messages on the fallback broker", [self._search(metrics.FALLBACK_WAITING)]),
                _Graph("Answers (1) or not (0)", answering),
                _Graph("Should be zero", zero),
                _Graph(
                    "Primary broker, percent",
                    self._nodes(names.broker_nodes(self._settings.broker_group, broker.nodes)),
                ),
                *results,
            ),
        )

    def _widget(self, graph: _Graph, width: int) -> cloudwatch.GraphWidget:
        return cloudwatch.GraphWidget(
            title=graph.title,
            region=Stack.of(self).region,
            width=width,
            height=_HEIGHT,
            left_y_axis=cloudwatch.YAxisProps(show_units=False),
            legend_position=cloudwatch.LegendPosition.BOTTOM,
            left=list(graph.lines),
        )

    def _search(self, metric: metrics.Metric, statistic: str = "Maximum") -> cloudwatch.MathExpression:
        """Every series of the metric in this environment, each labelled by what sets it apart."""
        schema = ",".join((metrics.NAMESPACE, *metric.dimensions))
        # In quotes, terms match whole values: "Waiting" is not "FallbackWaiting".
        terms = f'MetricName="{metric.name}" {metrics.ENVIRONMENT}="{self._settings.name}"'
        apart = [name for name in metric.dimensions if name != metrics.ENVIRONMENT]
        properties = [f"Dim.{name}" for name in apart] or ["MetricName"]
        return cloudwatch.MathExpression(
            expression=f"SEARCH('{{{schema}}} {terms}', '{statistic}', {_PERIOD_SECONDS})",
            label=" ".join(f"${{PROP('{name}')}}" for name in properties),
            using_metrics={},
            period=Duration.seconds(_PERIOD_SECONDS),
        )

    def _nodes(self, found: Sequence[str]) -> list[cloudwatch.IMetric]:
        return [
            cloudwatch.Metric(
                namespace=metric.namespace,
                metric_name=metric.name,
                dimensions_map=metric.values(**{metrics.NODE: node}),
                statistic="Maximum",
                period=Duration.seconds(_PERIOD_SECONDS),
                label=f"{what} {node}",
            )
            for node in found
            for what, metric in (("memory", metrics.NODE_MEMORY), ("cpu", metrics.NODE_CPU))
        ]
