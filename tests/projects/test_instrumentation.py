"""OpenTelemetry, Datadog and New Relic see tasks of the fleet as they see Celery's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from taskfleet.contract import environment as env

from tests.projects.conftest import Shell
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet

PROJECT = Path(__file__).parent / "instrumented"
PROGRAM = """
import instrumented
from opentelemetry import trace
instrumented.start_opentelemetry()
with trace.get_tracer("site").start_as_current_span("request"):
    instrumented.work.delay()
instrumented.fail.delay()
"""

HANGING = """
import instrumented
from opentelemetry import trace
from taskfleet.publishing.publisher import force_broker
instrumented.start_opentelemetry()
with force_broker({broker!r}), trace.get_tracer("site").start_as_current_span("request"):
    instrumented.hangs_once.delay()
"""


def environment(file: Path) -> dict[str, str]:
    return {
        "INSTRUMENTED_SEEN": str(file),
        env.APP.name: "instrumented:app",
        "NEW_RELIC_DEVELOPER_MODE": "true",
        "NEW_RELIC_STARTUP_TIMEOUT": "10",
        "NEW_RELIC_APP_NAME": "shop",
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_STARTUP_LOGS": "false",
    }


def seen(file: Path, by: str) -> list[dict[str, Any]]:
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [line for line in map(json.loads, lines) if line["by"] == by]


def test_each_of_them_sees_the_publish_and_the_run(
    fleet: TinyFleet, shell: Callable[[Path, dict[str, str]], Shell]
) -> None:
    file = fleet.directory / "seen"
    fleet.start_worker("r1", PYTHONPATH=str(PROJECT), **environment(file))

    shell(PROJECT, environment(file))(PROGRAM)

    wait_for(lambda: fleet.dead_letters("low") == 1, seconds=60, what="both tasks' ends")
    wait_for(lambda: len(seen(file, "otel")) == 5 and len(seen(file, "datadog")) == 4, what="all spans")
    spans = {(span["span"], span["kind"]): span["trace"] for span in seen(file, "otel")}
    assert spans.keys() == {
        ("request", "INTERNAL"),
        ("apply_async/instrumented.work", "PRODUCER"),
        ("run/instrumented.work", "CONSUMER"),
        ("apply_async/instrumented.fail", "PRODUCER"),
        ("run/instrumented.fail", "CONSUMER"),
    }
    request = spans["request", "INTERNAL"]
    assert spans["run/instrumented.work", "CONSUMER"] == request, "one trace from the request to the task"
    assert {(span["span"], span["resource"]) for span in seen(file, "datadog")} == {
        (f"celery.{what}", f"instrumented.{task}") for what in ("apply", "run") for task in ("work", "fail")
    }
    assert [line["transaction"] for line in seen(file, "newrelic")] == ["instrumented.work"]


@pytest.mark.parametrize("broker", [env.PRIMARY, env.FALLBACK])
def test_a_trace_goes_on_over_a_redelivery(
    fleet: TinyFleet, shell: Callable[[Path, dict[str, str]], Shell], broker: str
) -> None:
    """The first run is killed and has no span; the second's is of the trace of who published."""
    file = fleet.directory / "seen"
    variables = environment(file) | {"OTEL_RESOURCE_ATTRIBUTES": "team=shop"}
    variables |= {"PYTHONPATH": str(PROJECT), env.BROKER.name: broker, env.LEASE_SECONDS.name: "6"}
    worker = fleet.start_worker("r1", **variables)
    shell(PROJECT, environment(file))(HANGING.format(broker=broker))
    wait_for(lambda: (fleet.directory / "seen.hangs").exists(), what="the first run")

    fleet.kill(worker)
    fleet.start_worker("r1", **variables)

    wait_for(lambda: len(seen(file, "otel")) == 3, what="the second run's span")
    found = {span["span"]: span for span in seen(file, "otel")}
    assert found.keys() == {"request", "apply_async/instrumented.hangs_once", "run/instrumented.hangs_once"}
    assert len({span["trace"] for span in found.values()}) == 1
    of_worker = found["run/instrumented.hangs_once"]["resource"]
    assert {
        "service.name": "low",
        "service.version": "r1",
        "deployment.environment.name": fleet.name,
        "team": "shop",
    }.items() <= of_worker.items()
