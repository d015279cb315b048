"""The application that the programs run: its tasks write down when they began and ended, and nothing else.

Producers and workers import it. Results go where ``TASKFLEET_HISTORY_RESULTS`` says, for chords.
"""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery
from taskfleet import idempotency_key, install
from taskfleet.contract.environment import BROKER, RELEASE

from drills.history import clock
from drills.tasks import journal

RESULTS = "TASKFLEET_HISTORY_RESULTS"
RETRIES = 2

app = install(Celery("history"))
app.conf.result_backend = os.environ.get(RESULTS)
app.conf.task_default_queue = "low"


def _write(event: str, run: str, n: int, task: int) -> None:
    who = {"release": os.environ.get(RELEASE.name), "broker": os.environ.get(BROKER.name)}
    journal.write(event, at=clock.true(), run=run, n=n, task=task, key=idempotency_key(), **who)


@app.task(name="history.step")  # type: ignore[untyped-decorator]
def step(run: str, n: int, task: int, seconds: float = 0.0) -> None:
    """Run for ``seconds``."""
    _write("began", run, n, task)
    time.sleep(seconds)
    _write("ended", run, n, task)


@app.task(name="history.header", ignore_result=False)  # type: ignore[untyped-decorator]
def header(run: str, n: int, task: int, seconds: float = 0.0) -> int:
    """As `step`, in a chord's header."""
    step.run(run, n, task, seconds)
    return task


@app.task(name="history.body")  # type: ignore[untyped-decorator]
def body(results: list[int], run: str, n: int, task: int) -> None:
    """A chord's body: says which headers it got."""
    _write("began", run, n, task)
    journal.write("body", run=run, n=n, task=task, results=sorted(results))
    _write("ended", run, n, task)


@app.task(name="history.flaky", bind=True, max_retries=RETRIES)  # type: ignore[untyped-decorator]
def flaky(self: Any, run: str, n: int, task: int, seconds: float = 0.0) -> None:
    """Fail `RETRIES` times, then end."""
    if self.request.retries < RETRIES:
        raise self.retry(countdown=0.2, exc=RuntimeError("fails on purpose"))
    step.run(run, n, task, seconds)


@app.task(name="history.parent")  # type: ignore[untyped-decorator]
def parent(run: str, n: int, children: int, queue: str, seconds: float = 0.0) -> None:
    """Publish the children while it runs, each under an id that is the same however often this runs."""
    _write("began", run, n, 0)
    for child in range(1, children + 1):
        step.apply_async((run, n, child, seconds), queue=queue, task_id=f"{idempotency_key()}-{child}")
    _write("ended", run, n, 0)
