"""A monolith: forty task modules, base classes, exchanges, routers, Sentry and logging of its own."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from taskfleet.contract import environment as env

from tests.projects.conftest import Shell
from tests.projects.sentry import Sentry, capturing
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet

TEMPLATE = Path(__file__).parent / "monolith"
PARTS = 40
QUEUES = ("default", "mail", "reports")
TASKS = ("work", "store", "fetch", "send_mail", "report", "ping")
PROGRAM = f"""
from backoffice.app import app
app.loader.import_default_modules()
assert len([name for name in app.tasks if name.startswith("backoffice.")]) == 7 * {PARTS}
for part in range({PARTS}):
    tasks = "backoffice.part_%02d.tasks." % part
    for name in ("work", "store", "fetch", "send_mail", "report"):
        app.tasks[tasks + name].delay(part)
    app.tasks[tasks + "ping"].delay()
app.tasks["backoffice.part_07.tasks.fail"].apply_async()
"""


class Backoffice:
    """The project, written out with all its parts."""

    def __init__(self, fleet: TinyFleet, sentry: Sentry) -> None:
        self.place = fleet.directory / "monolith"
        shutil.copytree(TEMPLATE, self.place)
        for number in range(PARTS):
            part = self.place / "backoffice" / f"part_{number:02d}"
            part.mkdir()
            (part / "__init__.py").touch()
            shutil.copy(TEMPLATE / "part.py.txt", part / "tasks.py")
        self.audit, self.sent = fleet.directory / "audit", sentry.sent
        self.log = fleet.directory / "own.log"
        self.environment = {
            "BACKOFFICE_AUDIT": str(self.audit),
            "SENTRY_DSN": sentry.dsn,
            "BACKOFFICE_LOG": str(self.log),
            env.APP.name: "backoffice.app:app",
        }

    def audited(self, hook: str) -> list[dict[str, Any]]:
        """The lines of one hook."""
        return [line for line in _lines(self.audit) if line["hook"] == hook]


def _lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


@pytest.fixture
def backoffice(fleet: TinyFleet) -> Iterator[Backoffice]:
    fleet.deploy("r2", queues=QUEUES)
    fleet.promote("r2")
    with capturing() as sentry:
        yield Backoffice(fleet, sentry)


def test_a_monolith_runs_unchanged(
    fleet: TinyFleet, backoffice: Backoffice, shell: Callable[[Path, dict[str, str]], Shell]
) -> None:
    path = {"PYTHONPATH": str(backoffice.place)}
    worker = fleet.start(
        "worker", fleet.worker_environment("r2", ",".join(QUEUES), **path, **backoffice.environment), ""
    )
    shell(backoffice.place, backoffice.environment)(PROGRAM)

    expected = {f"backoffice.part_{part:02d}.tasks.{name}" for part in range(PARTS) for name in TASKS}
    wait_for(lambda: len(backoffice.audited("success")) >= len(expected), seconds=60, what="all of its tasks")
    assert Counter(line["task"] for line in backoffice.audited("success")) == Counter(expected)
    queues = {(line["task"].rpartition(".")[2], line["queue"]) for line in backoffice.audited("success")}
    assert queues == {
        ("work", "default.r2"),
        ("store", "default.r2"),
        ("fetch", "default.r2"),
        ("ping", "default.r2"),
        ("send_mail", "mail.r2"),
        ("report", "reports.r2"),
    }
    assert all(line["same"] for line in backoffice.audited("connection"))
    assert len(backoffice.audited("retry")) == 2 * PARTS

    wait_for(lambda: fleet.dead_letters("default") == 1, what="the letter of what failed")
    [failed] = backoffice.audited("failure")
    assert failed["error"] == "ValueError"
    wait_for(lambda: [one for one in backoffice.sent("event") if "exception" in one], what="the error")
    [event] = [event for event in backoffice.sent("event") if "exception" in event]
    assert (event["release"], event["environment"]) == ("r2", fleet.name)
    assert event["exception"]["values"][0]["value"] == "from part"
    assert event["tags"]["celery_task_id"]

    log = backoffice.log.read_text()
    assert "OWN INFO backoffice.part_39.tasks working on 39" in log
    assert "OWN WARNING taskfleet the task backoffice.part_00.tasks.ping is not protected" in log
    assert "the setting broker_url of the application has no effect" in log
    assert worker.poll() is None


def test_sentry_hears_of_its_periodic_tasks(fleet: TinyFleet, backoffice: Backoffice) -> None:
    """Beat says that one is due, and the worker how it ended, as the same check-in."""
    path = {"PYTHONPATH": str(backoffice.place)}
    fleet.start("worker", fleet.worker_environment("r2", "default", **path, **backoffice.environment), "")
    fleet.start("beat", fleet.environment(**path, **backoffice.environment), "")

    def statuses() -> set[str]:
        return {check_in["status"] for check_in in backoffice.sent("check_in")}

    wait_for(
        lambda: statuses() == {"in_progress", "ok"}, seconds=40, what="check-ins of beat and of the worker"
    )
    check_ins = backoffice.sent("check_in")
    assert {(one["monitor_slug"], one["environment"]) for one in check_ins} == {("nightly", fleet.name)}
    begun, ended = (
        {one["check_in_id"] for one in check_ins if one["status"] == status}
        for status in ("in_progress", "ok")
    )
    assert ended <= begun
    assert {one["release"] for one in check_ins if one["status"] == "ok"} == {"r2"}
