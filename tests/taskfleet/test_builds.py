"""Workers of two builds on the same queues: who starts, and what becomes of each other's messages."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import pytest
from taskfleet import signatures
from taskfleet.contract import environment as env
from taskfleet.contract import names
from taskfleet.contract import state as keys
from taskfleet.errors import EX_CONFIG
from taskfleet.releases import builds
from taskfleet.releases.actions import SendGate
from taskfleet.releases.gate import Gates
from taskfleet.releases.store import Store

from drills.tasks import builds as apps
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet

CHARGE_AND_NOTE = 2  # tasks of the first build that the third does not take as they were


def _of(build: str, **more: str) -> dict[str, str]:
    return {env.APP.name: f"drills.tasks.builds:{build}", env.BUILD.name: build, **more}


def _store(fleet: TinyFleet) -> Store:
    return Store(fleet.aws.client("dynamodb"), fleet.name)


def _prove(fleet: TinyFleet, build: str) -> None:
    """As the controller does: the build's gate task has run, so what it takes is what each later one must."""
    gate = SendGate("r1", "low", env.PRIMARY, build)
    Gates(fleet.settings()).send(gate)
    wait_for(lambda: gate.key in _store(fleet).scan().proofs, seconds=20, what=f"the gate of {build} has run")
    _store(fleet).keep_signatures("r1", build)


def _start(fleet: TinyFleet, build: str, **more: str) -> subprocess.Popen[bytes]:
    return fleet.start_worker("r1", **_of(build, **more))


def _ends(fleet: TinyFleet, build: str, **more: str) -> tuple[int, str]:
    with pytest.raises(AssertionError) as failed:
        _start(fleet, build, **more)
    process = fleet._workers[-1]
    return process.returncode, str(failed.value)


def test_a_build_that_takes_less_does_not_start_and_says_why(fleet: TinyFleet) -> None:
    _start(fleet, "first")
    _prove(fleet, "first")

    code, log = _ends(fleet, "third")

    assert code == EX_CONFIG
    assert "builds.charge, parameter 'amount': it is gone or renamed" in log
    assert "builds.note: the task is gone" in log
    refused = _store(fleet).refused_build("r1")
    assert refused is not None
    assert refused.build == "third"
    assert len(refused.breaks) == CHARGE_AND_NOTE
    assert "Fix: keep it" in refused.breaks[0]


def test_what_is_accepted_by_name_may_break(fleet: TinyFleet) -> None:
    _start(fleet, "first")
    _prove(fleet, "first")

    code, log = _ends(fleet, "third", **{env.ACCEPTED_BREAKS.name: "builds.charge"})
    assert code == EX_CONFIG
    assert "builds.charge, parameter" not in log
    _start(fleet, "third", **{env.ACCEPTED_BREAKS.name: "builds.charge,builds.note"})


def test_a_build_that_is_deployed_already_starts_whatever_it_was_compared_with(fleet: TinyFleet) -> None:
    """A worker that is replaced, or one more: nothing is compared."""
    _start(fleet, "first")
    _prove(fleet, "first")
    _start(fleet, "first")


def test_an_old_worker_gives_back_what_only_the_newer_build_takes(fleet: TinyFleet) -> None:
    old = _start(fleet, "first")
    _prove(fleet, "first")
    new = _start(fleet, "second")
    app = fleet.app()

    for n in range(20):
        app.send_task("builds.charge", kwargs={"run": "both", "n": n}, queue="low")
        app.send_task("builds.refund", kwargs={"run": "new-task", "n": n}, queue="low")
        app.send_task("builds.note", kwargs={"run": "new-parameter", "n": n, "text": "x"}, queue="low")

    for run in ("both", "new-task", "new-parameter"):
        fleet.wait_executed(run, 20, seconds=60)
        assert fleet.executed(run) == list(range(20))
    assert {line["build"] for line in fleet.events("record") if line["run"] == "both"} == {"first", "second"}
    assert fleet.dead_letters("low") == 0
    log = (old.place / "log").read_text()  # type: ignore[attr-defined]
    assert "goes back to its queue, and each that is like it: build second takes it" in log
    fleet.kill(new)


def test_what_no_build_takes_is_parked_at_once(fleet: TinyFleet) -> None:
    _start(fleet, "first")
    _prove(fleet, "first")
    _newest(fleet, build="second", at=time.time(), tasks={})
    app = fleet.app()
    app.send_task("builds.refund", kwargs={"run": "nobody", "n": 0}, queue="low")
    wait_for(lambda: fleet.dead_letters("low") == 1, seconds=20, what="it is a dead letter")


def test_a_build_that_never_came_holds_nothing_up(fleet: TinyFleet) -> None:
    """Its deploy failed long ago: what only it takes is parked."""
    _start(fleet, "first")
    _prove(fleet, "first")
    _newest(fleet, build="second", at=time.time() - 3600, tasks=signatures.of(apps.second))
    app = fleet.app()
    app.send_task("builds.refund", kwargs={"run": "nobody", "n": 0}, queue="low")
    wait_for(lambda: fleet.dead_letters("low") == 1, seconds=20, what="it is a dead letter")


def _newest(fleet: TinyFleet, **build: Any) -> None:
    table = names.state_table(fleet.name)
    dynamodb = fleet.aws.client("dynamodb")
    builds.write(dynamodb, table, keys.newest_signatures("r1"), builds.Build(**build))
