"""OpenTelemetry, Datadog and New Relic see tasks of the fleet as they see Celery's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def test_each_of_them_sees_the_publish_and_the_run(
    fleet: TinyFleet, shell: Callable[[Path, dict[str, str]], Shell]
) -> None:
    file = fleet.directory / "seen"
    environment = {
        "INSTRUMENTED_SEEN": str(file),
        env.APP.name: "instrumented:app",
        "NEW_RELIC_DEVELOPER_MODE": "true",
        "NEW_RELIC_STARTUP_TIMEOUT": "10",
        "NEW_RELIC_APP_NAME": "shop",
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_STARTUP_LOGS": "false",
    }
    fleet.start_worker("r1", PYTHONPATH=str(PROJECT), **environment)

    shell(PROJECT, environment)(PROGRAM)

    def seen(by: str) -> list[dict[str, Any]]:
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in map(json.loads, lines) if line["by"] == by]

    wait_for(lambda: fleet.dead_letters("low") == 1, seconds=60, what="both tasks' ends")
    wait_for(lambda: len(seen("otel")) == 5 and len(seen("datadog")) == 4, what="all spans")
    spans = {(span["span"], span["kind"]): span["trace"] for span in seen("otel")}
    assert spans.keys() == {
        ("request", "INTERNAL"),
        ("apply_async/instrumented.work", "PRODUCER"),
        ("run/instrumented.work", "CONSUMER"),
        ("apply_async/instrumented.fail", "PRODUCER"),
        ("run/instrumented.fail", "CONSUMER"),
    }
    request = spans["request", "INTERNAL"]
    assert spans["run/instrumented.work", "CONSUMER"] == request, "one trace from the request to the task"
    assert {(span["span"], span["resource"]) for span in seen("datadog")} == {
        (f"celery.{what}", f"instrumented.{task}") for what in ("apply", "run") for task in ("work", "fail")
    }
    assert [line["transaction"] for line in seen("newrelic")] == ["instrumented.work"]
