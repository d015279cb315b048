"""An application with tasks of its own bases, as teams have them; for `test_retries`, `test_expiry`
and `test_worker`."""

from __future__ import annotations

import os
import signal
from typing import Any

from celery import Celery, Task
from taskfleet import install
from taskfleet.contract.messages import DELIVERIES_HEADER

from drills.tasks import journal


class OwnTask(Task):  # type: ignore[misc]
    """Knows nothing of the fleet."""


app = install(Celery("own", set_as_current=False))


@app.task(name="own.fleets", bind=True)
def fleets(self: Any) -> None:
    _retry_once(self)


@app.task(name="own.based", bind=True, base=OwnTask)
def based(self: Any) -> None:
    _retry_once(self)


@app.task(
    name="own.automatic", bind=True, base=OwnTask, autoretry_for=(ConnectionError,), default_retry_delay=0
)
def automatic(self: Any) -> None:
    _began(self)
    if not self.request.retries:
        raise ConnectionError("closed")
    journal.write("record", run=self.name, n=1)


@app.task(name="own.early", bind=True, base=OwnTask, acks_late=False)
def early(self: Any) -> None:
    _retry_once(self)


@app.task(name="own.too-large", bind=True)
def too_large(self: Any, what: str = "") -> None:
    raise self.retry(args=("x" * 300_000,), countdown=0)


@app.task(name="own.not-json", bind=True, base=OwnTask)
def not_json(self: Any, what: object = None) -> None:
    raise self.retry(args=(object(),), countdown=0)


@app.task(name="own.killed", bind=True, max_retries=1, default_retry_delay=0)
def killed(self: Any, n: int, times: int) -> None:
    """Killed in each try, and in each delivery of the last one, until it was killed ``times`` times."""
    _began(self)
    if self.request.retries + self.request.get(DELIVERIES_HEADER) < times:
        os.kill(os.getpid(), signal.SIGKILL)
    journal.write("record", run=self.name, n=n)


@app.task(name="own.short-lived", expires=5)
def short_lived() -> None:
    journal.write("record", run="short-lived", n=1)


@app.task(name="own.as-it-comes")
def as_it_comes() -> None:
    pass


def _retry_once(task: Any) -> None:
    _began(task)
    if not task.request.retries:
        raise task.retry(countdown=0)
    journal.write("record", run=task.name, n=1)


def _began(task: Any) -> None:
    journal.write("began-own", run=task.name, retries=task.request.retries)
