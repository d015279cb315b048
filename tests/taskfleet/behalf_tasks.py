"""Tasks with something that Celery publishes when they end; for `test_behalf` and `test_chords`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import Celery
from taskfleet import install
from taskfleet.contract import container
from taskfleet.settings import WorkerSettings

from drills.tasks import journal

BACKEND = "TESTS_RESULTS"

app = install(Celery("behalf", backend=os.environ.get(BACKEND), set_as_current=False))
app.conf.result_chord_retry_interval = 0.2
if BACKEND in os.environ:  # in a worker; tests import this for its names
    WorkerSettings.publish_patience_seconds = 1.0


def gate() -> Path:
    """Tasks that wait go on when it is there."""
    return Path(os.environ[container.JOURNAL]) / "gate"


@app.task(name="behalf.waits")
def waits(n: int) -> int:
    journal.write("began", run="waits", n=n)
    while not gate().exists():
        time.sleep(0.05)
    return n


@app.task(name="behalf.waits-and-fails")
def waits_and_fails(n: int) -> None:
    waits(n)
    raise KeyError(n)


@app.task(name="behalf.waits-and-is-large")
def waits_and_is_large(n: int) -> str:
    waits(n)
    return "x" * 200_000


@app.task(name="behalf.quiet", ignore_result=True)
def quiet(n: int) -> int:
    return n


@app.task(name="behalf.fails-at-once")
def fails_at_once() -> None:
    raise KeyError("at once")


@app.task(name="behalf.retries-once", bind=True, max_retries=1, default_retry_delay=0.1)
def retries_once(self: Any) -> None:
    if not self.request.retries:
        raise self.retry()


@app.task(name="behalf.dies-before-it-is-counted")
def dies_before_it_is_counted(n: int, where: str) -> int:
    """The first time its process is killed after the result was stored, in or before what counts it."""
    mark = Path(os.environ[container.JOURNAL]) / "died"
    if not mark.exists():
        mark.touch()
        setattr(app.backend, where, lambda *_args, **_options: os.kill(os.getpid(), signal.SIGKILL))
    return n


@app.task(name="behalf.body")
def body(numbers: Any, run: str = "body") -> Any:
    journal.write("record", run=run, n=sum(numbers) if isinstance(numbers, list) else numbers)
    return numbers


@app.task(name="behalf.on-error")
def on_error(task_id: str) -> None:
    journal.write("record", run="on-error", n=1)


@app.task(name="behalf.waits-and-is-replaced", bind=True)
def waits_and_is_replaced(self: Any, n: int) -> Any:
    waits(n)
    raise self.replace(body.s(n, run="replacement"))


@app.task(name="behalf.waits-and-adds", bind=True)
def waits_and_adds(self: Any, n: int) -> int:
    waits(n)
    self.add_to_chord(quiet.s(n))
    return n
