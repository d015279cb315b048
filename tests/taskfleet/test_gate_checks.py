"""The team's own checks of a release, run by a real worker, and their ends in the state table."""

from __future__ import annotations

from typing import Any

import pytest
import taskfleet
from taskfleet.contract import environment as env
from taskfleet.gate_checks import Marked, marked
from taskfleet.releases.actions import SendCheck, SendGate
from taskfleet.releases.gate import Gates
from taskfleet.releases.observation import Check
from taskfleet.releases.store import Snapshot, Store

from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet import gate_tasks

APP = {env.APP.name: "tests.taskfleet.gate_tasks:app"}
MARKED = {
    "gates.bad": Marked("low", 60),
    "gates.dies": Marked("", 60),
    "gates.good": Marked("", 60),
    "gates.hangs": Marked("", 1),
    "gates.leaves": Marked("", 60),
}
FAILURES = {
    "gates.bad": "ConnectionError: no route to the database",
    "gates.dies": "",
    "gates.good": "",
    "gates.hangs": "it ran for longer than its 1 s",
    "gates.leaves": "SystemExit: no such setting: DATABASE_URL",
}


def _checks(registered: str) -> list[SendCheck]:
    return [SendCheck("r1", "low", name, registered, one.timeout_seconds) for name, one in MARKED.items()]


def _ended(fleet: TinyFleet, registered: str) -> dict[str, str]:
    """Task → why it failed, of those that have ended."""
    seen = _snapshot(fleet).verdicts
    ended = {check.task: seen.get(check.key) for check in _checks(registered)}
    return {
        task: one.failure for task, one in ended.items() if one and one.registered == registered and one.ended
    }


def _snapshot(fleet: TinyFleet) -> Snapshot:
    return Store(fleet.aws.client("dynamodb"), fleet.name).scan()


def test_which_tasks_are_checks() -> None:
    # Tasks of other tests in this process are shared with every app.
    assert {
        name: mark for name, mark in marked(gate_tasks.app).items() if name.startswith("gates.")
    } == MARKED


@pytest.mark.parametrize("seconds", [0, 601])
def test_a_time_out_that_no_gate_has_time_for_is_refused(seconds: int) -> None:
    with pytest.raises(ValueError, match=f"timeout_seconds={seconds}.: 1 to 600 seconds"):
        taskfleet.gate(timeout_seconds=seconds)


@pytest.mark.parametrize("execution", ["prefork", "threads"])
def test_a_worker_runs_each_check_once_and_says_how_it_ended(fleet: TinyFleet, execution: str) -> None:
    fleet.start_worker("r1", **APP, **{env.EXECUTION.name: execution})
    gates = Gates(fleet.settings())
    gates.send(SendGate("r1", "low", env.PRIMARY))
    wait_for(lambda: _snapshot(fleet).checks, seconds=20, what="the proof says which checks there are")
    assert _snapshot(fleet).checks == {
        "r1": tuple(Check(task, one.pool, one.timeout_seconds) for task, one in MARKED.items())
    }
    # A thread can't be interrupted, and no process of its own dies: the controller gives such a check up.
    run = FAILURES if execution == "prefork" else {t: FAILURES[t] for t in ("gates.bad", "gates.good")}
    for _ in range(2):  # as a controller does that was restarted in between
        for check in _checks("1.000"):
            if check.task in run:
                gates.send(check)
    wait_for(
        lambda: _ended(fleet, "1.000") == run, seconds=40, what=f"all have ended: {_ended(fleet, '1.000')}"
    )
    wait_for(lambda: not fleet.waiting("low", "r1"), what="the second messages are looked at, too")
    assert len(_runs(fleet)) == 1
    # Another deployment of the release runs them again.
    good = next(check for check in _checks("2.000") if check.task == "gates.good")
    gates.send(good)
    wait_for(lambda: _ended(fleet, "2.000") == {"gates.good": ""}, seconds=20, what="it was run again")
    assert len(_runs(fleet)) == 2


def _runs(fleet: TinyFleet) -> list[Any]:
    return [line for line in fleet.events("record") if line["run"] == "good"]
