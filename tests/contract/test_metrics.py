"""Metrics: each typed once, and its dimensions refused when they are wrong."""

from __future__ import annotations

import pytest
from taskfleet.contract import metrics


def test_metric_names_are_unique_and_units_are_cloudwatchs() -> None:
    every = (*metrics.METRICS, *metrics.WORKER_METRICS, metrics.TASKS_EXPIRED)
    assert len({metric.name for metric in every}) == len(every)
    assert {metric.unit for metric in every} <= {"Count", "Seconds", "Percent"}
    assert all(metric.help and not metric.help.endswith(".") for metric in every)


@pytest.mark.parametrize(
    "dimensions",
    [{}, {"Environment": "dev"}, {"Environment": "dev", "Pool": "low", "Release": "r1", "Queue": "low"}],
)
def test_a_datapoint_with_other_dimensions_is_refused(dimensions: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="Waiting has the dimensions"):
        metrics.WAITING.values(**dimensions)


def test_dimensions_keep_their_order_however_they_are_given() -> None:
    made = metrics.WAITING.values(Release="r1", Environment="dev", Pool="low")
    assert list(made) == ["Environment", "Pool", "Release"]
