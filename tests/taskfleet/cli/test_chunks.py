"""`fleet chunks`: what is said of long runs, and what a person may do to them."""

from __future__ import annotations

import pytest
from taskfleet.tools.ranges import integers
from taskfleet.tools.runs import Runs, State

from tests.taskfleet.cli.conftest import Fleet


@pytest.fixture
def runs(up: Fleet) -> Runs:
    found = Runs(up.account.dynamodb, up.account.name)
    found.create("nightly", "shop.report", "low", integers(1, 100, size=10))
    return found


def test_runs_are_listed(up: Fleet, runs: Runs) -> None:
    run = runs.read("nightly")
    assert run is not None
    runs.advance(run, {**run.place, "at": 11})
    runs.has_problem("nightly", "ValueError('no')")
    head, line = up.run("chunks", "list").output.splitlines()
    assert head.split()[:4] == ["run", "task", "queue", "state"]
    assert line.split()[:6] == ["nightly", "shop.report", "low", "running", "1", "11"]
    assert line.endswith("ValueError('no')")
    assert up.json("chunks", "list")["runs"][0]["place"]["last"] == 100


def test_a_run_is_paused_resumed_and_cancelled(up: Fleet, runs: Runs) -> None:
    assert "nothing was changed" in up.run("chunks", "pause", "nightly").output
    assert _state(runs) is State.RUNNING
    paused = up.run("chunks", "pause", "nightly", "--yes").output
    assert "run nightly of shop.report: running -> paused" in paused
    assert "undo: fleet chunks resume nightly --yes" in paused
    assert _state(runs) is State.PAUSED
    up.run("chunks", "resume", "nightly", "--yes")
    assert _state(runs) is State.RUNNING
    up.run("chunks", "cancel", "nightly", "--yes")
    assert _state(runs) is State.CANCELLED
    again = up.run("chunks", "resume", "nightly", "--yes")
    assert again.exit_code == 1
    assert "run nightly is cancelled already, after 0 steps" in again.output
    assert up.run("chunks", "list").output == "no run in chunks\n"


def test_a_run_that_there_is_not_is_said_to_be_none(up: Fleet) -> None:
    result = up.run("chunks", "pause", "nihgtly", "--yes")
    assert result.exit_code == 1
    assert "there is no run 'nihgtly'" in result.output


def _state(runs: Runs) -> State | None:
    run = runs.read("nightly")
    return run.state if run else None
