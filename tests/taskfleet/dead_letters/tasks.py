"""Tasks that end in each way that a task can end; for the tests of this folder."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Any

from celery import Celery
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.signals import worker_process_init
from taskfleet import install
from taskfleet.contract.messages import DELIVERIES_HEADER
from taskfleet.worker import parking, usefulness

from drills.tasks import journal

IMPATIENT = "TESTS_IMPATIENT"
SLOW_START = "TESTS_SLOW_START"  # seconds that each child takes to start

app = install(Celery("endings", set_as_current=False))
if os.environ.get(IMPATIENT):
    parking.ROOM_BYTES = 0
    parking.PATIENCE_SECONDS = 0.0
    usefulness.NOT_ASKING_SECONDS, usefulness.STARTS_WITHOUT_A_CHILD = 3.0, 0


@worker_process_init.connect(weak=False)
def start_slowly(**_signal: Any) -> None:
    time.sleep(float(os.environ.get(SLOW_START, "0")))


class OutOfStock(Exception):
    """Expected."""


@app.task(name="ends.well")
def well(n: int) -> None:
    journal.write("record", run="well", n=n)


@app.task(name="ends.badly")
def badly(order: int, *, note: str = "") -> None:
    journal.write("began-badly", order=order)
    raise KeyError(f"order {order}")


@app.task(name="ends.masked", bind=True, max_retries=1)
def masked(self: Any, _who: str, _secret: str) -> None:
    raise self.retry(countdown=0, exc=KeyError("order"))


@app.task(name="ends.as-expected", throws=(OutOfStock,))
def as_expected() -> None:
    raise OutOfStock("none left")


@app.task(name="ends.ignored")
def ignored() -> None:
    raise Ignore


@app.task(name="ends.expected-and-kept-back", throws=(OutOfStock,), acks_on_failure_or_timeout=False)
def expected_and_kept_back() -> None:
    journal.write("began-expected")
    raise OutOfStock("none left")


@app.task(name="ends.rejected")
def rejected() -> None:
    journal.write("began-rejected")
    raise Reject("no", requeue=False)


@app.task(name="ends.rejected-once", bind=True)
def rejected_once(self: Any) -> None:
    journal.write("began-rejected-once")
    if not self.request.get(DELIVERIES_HEADER):
        raise Reject("not now", requeue=True)


@app.task(name="ends.retried", bind=True, max_retries=2)
def retried(self: Any) -> None:
    raise self.retry(countdown=0.1, exc=ConnectionError("still closed"))


@app.task(name="ends.retried-well", bind=True, max_retries=2)
def retried_well(self: Any) -> None:
    if not self.request.retries:
        raise self.retry(countdown=0.1)


@app.task(name="ends.late", soft_time_limit=1, time_limit=2)
def late() -> None:
    """Deaf to its soft limit."""
    with contextlib.suppress(SoftTimeLimitExceeded):
        time.sleep(60)
    time.sleep(60)


@app.task(name="ends.in-memory")
def in_memory() -> None:
    raise MemoryError("no room")


@app.task(name="ends.early", acks_late=False)
def early() -> None:
    raise ValueError("acknowledged before it ran")


@app.task(name="ends.kept-back", acks_on_failure_or_timeout=False)
def kept_back() -> None:
    raise ValueError("not acknowledged on failure")


@app.task(name="ends.killed", max_retries=0)
def killed() -> None:
    os.kill(os.getpid(), 9)


@app.task(name="ends.killed-for-ever", max_retries=None)
def killed_for_ever() -> None:
    journal.write("began-killed")
    os.kill(os.getpid(), 9)


@app.task(
    name="ends.killed-with-a-result", bind=True, max_retries=1, default_retry_delay=0.1, ignore_result=False
)
def killed_with_a_result(self: Any, n: int) -> None:
    if not self.request.retries:
        os.kill(os.getpid(), 9)
    journal.write("record", run=self.name, n=n)


@app.task(name="ends.with-a-result", ignore_result=False)
def with_a_result() -> str:
    journal.write("began-with-a-result")
    return "result"


@app.task(name="ends.badly-with-a-result", ignore_result=False)
def badly_with_a_result() -> None:
    raise KeyError("no result")


@app.task(name="ends.exits", max_retries=0)
def exits() -> None:
    sys.exit("as from a script")


@app.task(name="ends.its-worker")
def its_worker() -> None:
    os._exit(1)


@app.task(name="ends.over-its-limit", time_limit=1)
def over_its_limit() -> None:
    """Has no soft limit of its own; the fleet's is 300 s."""
    time.sleep(6)
    journal.write("outlived")


@app.task(name="ends.slowly")
def slowly() -> None:
    time.sleep(60)
