"""`fleet simulate`: a load of one's own, from a CSV, without AWS."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from taskfleet.cli.main import fleet
from taskfleet.cli.simulate import WORKER_HOUR_DOLLARS

from infra.prices import FARGATE_GB, FARGATE_VCPU


def simulated(path: Path, *options: str) -> dict[str, float]:
    result = CliRunner().invoke(fleet, ["--json", "simulate", str(path), *options])
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_a_trace_says_waits_hours_and_dollars(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("published,ran\n" + "".join(f"{1000 + n / 10},2.0\n" for n in range(6000)))
    found = simulated(trace, "--target", "30", "--max", "20")
    assert (found["tasks"], found["not_ended"], found["interrupted"]) == (6000, 0, 0)
    assert found["most_workers"] > 4
    assert found["dollars"] == pytest.approx(found["worker_hours"] * WORKER_HOUR_DOLLARS, abs=0.01)
    assert found == simulated(trace, "--target", "30", "--max", "20")
    assert simulated(trace, "--max", "1")["late_percent"] > found["late_percent"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("at,run\n", "no task in it"), ("1,2\nx,3\n", "line 2 is 'x,3'"), ("1,2\n1,-1\n", "below 0")],
)
def test_what_is_no_trace_is_said(tmp_path: Path, text: str, said: str) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(text)
    result = CliRunner().invoke(fleet, ["simulate", str(trace)])
    assert result.exit_code == 2
    assert said in result.output


def test_a_worker_costs_what_the_prices_say() -> None:
    assert pytest.approx(FARGATE_VCPU["ARM64"].dollars + 2 * FARGATE_GB["ARM64"].dollars, abs=0.0005) == (
        WORKER_HOUR_DOLLARS
    )
