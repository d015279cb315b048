"""A Celery application for a worker of these tests. What it runs is what its environment says."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import time

from celery import Celery, Task
from taskfleet.contract import messages

TRANSPORT, URL, OPTIONS = "TEST_TRANSPORT", "TEST_URL", "TEST_OPTIONS"
CONFIGURATION, LEDGER = "TEST_CONFIGURATION", "TEST_LEDGER"


def make_app(
    *,
    url: str,
    transport: str | None,
    options: dict[str, object],
    configuration: dict[str, object] | None = None,
) -> Celery:
    """The application, for a producer in the test's own process or for a worker."""
    app = Celery("tests.brokers", broker=url)
    app.conf.update(
        broker_transport=transport,
        broker_transport_options=options,
        broker_connection_retry_on_startup=True,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        task_default_queue="tests",
    )
    app.conf.update(configuration or {})
    app.task(name="noop")(noop)
    app.task(name="arrived")(arrived)
    app.task(name="arrived_in_time")(arrived_in_time)
    app.task(name="note")(note)
    app.task(name="slow")(slow)
    app.task(name="hold_the_lock")(hold_the_lock)
    app.task(name="compute")(compute)
    app.task(name="kill_child", bind=True)(kill_child)
    return app


def noop() -> None:
    """Cost nothing."""


def note(what: str) -> None:
    """Write down that this ran."""
    with open(os.environ[LEDGER], "a") as ledger:
        ledger.write(f"{what}\n")
    print("noted")


def arrived(sent_at: float) -> None:
    """Write down how long it was on its way."""
    note(str(time.time() - sent_at))


def arrived_in_time(what: str, due_at: float) -> None:
    """Write down how late this ran."""
    note(f"{what} {time.time() - due_at}")


def slow(what: str, seconds: float) -> None:
    """Write down that it began and that it ended."""
    note(f"begin {what}")
    time.sleep(seconds)
    note(f"end {what}")


def hold_the_lock(what: str, seconds: int) -> None:
    """What a regular expression that backtracks does: it keeps Python's lock, and no other thread runs."""
    note(f"begin {what}")
    ctypes.PyDLL(None).sleep(seconds)
    note(f"end {what}")


def compute(what: str, seconds: float) -> None:
    """Keep a processor busy."""
    note(f"begin {what}")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(10_000))
    note(f"end {what}")


def kill_child(self: Task, what: str) -> None:
    """What the kernel does to a process that has taken too much memory."""
    note(f"{what} {self.request.get(messages.DELIVERIES_HEADER)}")
    os.kill(os.getpid(), signal.SIGKILL)


if URL in os.environ:
    app = make_app(
        url=os.environ[URL],
        transport=os.environ.get(TRANSPORT) or None,
        options=json.loads(os.environ.get(OPTIONS, "{}")),
        configuration=json.loads(os.environ.get(CONFIGURATION, "{}")),
    )
