"""Wait and run time of each task, as the worker logs them for CloudWatch."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from taskfleet.contract import environment as env
from taskfleet.contract import metrics
from taskfleet.worker.timing import due_at

from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet

RECORD = "drills.record"


def timed(directory: Path) -> list[dict[str, Any]]:
    """The lines of all workers' logs that carry metrics."""
    lines = [line for log in directory.rglob("log") for line in log.read_text().splitlines()]
    return [parsed for line in lines if line.startswith("{") and "_aws" in (parsed := json.loads(line))]


def test_each_finished_task_carries_its_wait_and_run_time_even_when_few_logs_are_asked_for(
    fleet: TinyFleet, tmp_path: Path
) -> None:
    quiet = fleet.worker_environment("r1", **{env.LOG_LEVEL.name: "WARNING"})
    fleet.start("worker", quiet, says="")
    fleet.app().send_task(RECORD, ["soon", 1])
    wait_for(lambda: len(timed(tmp_path)) == 1, seconds=60, what="a timed task")
    fleet.app().send_task(RECORD, ["later", 2], countdown=3)
    wait_for(lambda: len(timed(tmp_path)) == 2, seconds=60, what="another")

    for line in timed(tmp_path):
        (said,) = line["_aws"]["CloudWatchMetrics"]
        assert said["Namespace"] == metrics.NAMESPACE
        assert said["Dimensions"] == [list(metrics.TASK_RUNTIME.dimensions)]
        assert {m["Name"] for m in said["Metrics"]} == {m.name for m in metrics.WORKER_METRICS}
        assert (line["Environment"], line["Pool"], line["Release"]) == (fleet.name, "low", "r1")
        assert line["task"] == RECORD
        assert line["state"] == "SUCCESS"
        assert 0 <= line["TaskRuntime"] < 30
    soon, later = timed(tmp_path)
    assert soon["TaskWait"] > 0
    # The countdown is no wait: the clock starts when the task could have run.
    assert later["TaskWait"] < 3


def test_all_metrics_of_a_line_have_the_dimensions_that_it_says() -> None:
    with pytest.raises(ValueError, match="dimensions"):
        metrics.embedded({metrics.TASK_WAIT: 1.0}, {metrics.ENVIRONMENT: "dev"}, at=0.0)


@pytest.mark.parametrize(
    ("published_at", "eta", "due"),
    [
        (None, None, None),
        (None, "2026-11-20T12:00:00+00:00", None),
        (100.0, None, 100.0),
        (100.0, "1970-01-01T00:02:00", 120.0),
        (100.0, "1970-01-01T01:02:00+01:00", 120.0),
        # An ETA that was over when it was published.
        (100.0, "1970-01-01T00:00:01", 100.0),
    ],
)
def test_a_wait_begins_when_the_task_could_first_have_run(
    published_at: float | None, eta: str | None, due: float | None
) -> None:
    assert due_at(published_at, eta) == due


def test_the_time_stamp_is_in_milliseconds() -> None:
    at = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
    values = {metrics.ENVIRONMENT: "dev", metrics.POOL: "low", metrics.RELEASE: "r1"}

    line: Any = metrics.embedded({metrics.TASK_WAIT: 1.5}, values, at=at)

    assert line["_aws"]["Timestamp"] == int(at) * 1000
    assert line["TaskWait"] == 1.5
