"""An application with checks of its own; for `test_gate_checks`."""

from __future__ import annotations

import os
import signal
import time

import taskfleet
from celery import Celery

from drills.tasks import journal

app = taskfleet.install(Celery("gates", set_as_current=False))


@app.task(name="gates.good")
@taskfleet.gate
def good() -> None:
    journal.write("record", run="good", n=os.getpid())


@app.task(name="gates.bad", bind=True, autoretry_for=(ConnectionError,))
@taskfleet.gate(pool="low")
def bad(self: object) -> None:
    raise ConnectionError("no route to the database")


@app.task(name="gates.leaves")
@taskfleet.gate
def leaves() -> None:
    raise SystemExit("no such setting: DATABASE_URL")


@app.task(name="gates.hangs")
@taskfleet.gate(timeout_seconds=1)
def hangs() -> None:
    time.sleep(60)


@app.task(name="gates.dies")
@taskfleet.gate
def dies() -> None:
    """The first time."""
    lives = len([line for line in journal.read(journal.directory()) if line["event"] == "dying"])
    if not lives:
        journal.write("dying", run="dies", n=1)
        os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="gates.none")
def none() -> None:
    """No check."""
