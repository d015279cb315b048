"""The dashboard: does the fleet keep up, do tasks get slower, how long do tasks wait. On one screen."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct
from taskfleet.contract import metrics, names

from infra.settings import Settings

_PERIOD = 60
_HEIGHT = 5
_COLUMNS = 24


class FleetDashboard(Construct):
    """Three questions, a row for each, and a row for the brokers.

    Every graph is a search: releases come and go, and a new one's pools appear by themselves.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        super().__init__(scope, id)
        self._environment = settings.name
        board = cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=names.dashboard(settings.name),
            default_interval=Duration.hours(3),
        )
        for title, graphs in self._rows():
            board.add_widgets(cloudwatch.TextWidget(markdown=f"## {title}", width=_COLUMNS, height=1))
            width = _COLUMNS // len(graphs)
            board.add_widgets(*(self._graph(name, lines, width) for name, lines in graphs))

    def _rows(self) -> tuple[tuple[str, tuple[tuple[str, tuple[str, ...]], ...]], ...]:
        """Title of a row, its graphs' titles, and the searches in each graph."""
        return (
            (
                "Does the fleet keep up with the load?",
                (
                    ("Messages waiting", (self._search(metrics.WAITING),)),
                    ("Workers missing (below 0: too many)", (self._search(metrics.CAPACITY_GAP),)),
                    ("Workers running", (self._search(metrics.RUNNING_WORKERS),)),
                    ("Messages in flight", (self._search(metrics.UNACKNOWLEDGED),)),
                ),
            ),
            (
                "Do tasks get slower?",
                (
                    ("Run time, median, seconds", (self._search(metrics.TASK_RUNTIME, "p50"),)),
                    ("Run time, 99 of 100 are below, seconds", (self._search(metrics.TASK_RUNTIME, "p99"),)),
                    ("Tasks finished per minute", (self._search(metrics.TASK_RUNTIME, "SampleCount"),)),
                ),
            ),
            (
                "How long do tasks wait?",
                (
                    ("Oldest waiting message, seconds", (self._search(metrics.OLDEST_AGE),)),
                    ("Wait, median, seconds", (self._search(metrics.TASK_WAIT, "p50"),)),
                    ("Wait, 99 of 100 are below, seconds", (self._search(metrics.TASK_WAIT, "p99"),)),
                ),
            ),
            (
                "Brokers and releases",
                (
                    ("Messages on the fallback broker", (self._search(metrics.FALLBACK_WAITING),)),
                    (
                        "Answering (1) or not (0)",
                        tuple(self._search(m, "Minimum") for m in (metrics.BROKER_UP, metrics.FALLBACK_UP)),
                    ),
                    (
                        "Should be zero",
                        tuple(self._search(m) for m in (metrics.DEAD_LETTERS, metrics.DRAIN_OVERDUE)),
                    ),
                    (
                        "Primary broker, memory and processor, percent",
                        tuple(
                            self._nodes(m) for m in ("DatabaseMemoryUsagePercentage", "EngineCPUUtilization")
                        ),
                    ),
                ),
            ),
        )

    def _graph(self, title: str, searches: tuple[str, ...], width: int) -> cloudwatch.GraphWidget:
        return cloudwatch.GraphWidget(
            title=title,
            width=width,
            height=_HEIGHT,
            left_y_axis=cloudwatch.YAxisProps(show_units=False),
            legend_position=cloudwatch.LegendPosition.BOTTOM,
            left=[
                # No label: CloudWatch then names each line by what sets it apart, its pool and release.
                cloudwatch.MathExpression(
                    expression=search, label="", using_metrics={}, period=Duration.seconds(_PERIOD)
                )
                for search in searches
            ],
        )

    def _search(self, metric: metrics.Metric, statistic: str = "Maximum") -> str:
        schema = ",".join((metrics.NAMESPACE, *metric.dimensions))
        terms = f'MetricName="{metric.name}" {metrics.ENVIRONMENT}="{self._environment}"'
        return f"SEARCH('{{{schema}}} {terms}', '{statistic}', {_PERIOD})"

    def _nodes(self, metric: str) -> str:
        """ElastiCache names a node after its group, with a number: every node of ours has this prefix."""
        terms = f'MetricName="{metric}" CacheClusterId="{names.broker(self._environment)}"'
        return f"SEARCH('{{AWS/ElastiCache,CacheClusterId}} {terms}', 'Maximum', {_PERIOD})"
