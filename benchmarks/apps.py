"""The two applications that are compared: plain Celery as its documentation sets it up, and ours.

Each with the same tasks. ``celery -A benchmarks.apps:plain`` and ``TASKFLEET_APP=benchmarks.apps:ours``.
"""

from __future__ import annotations

import os
import ssl
import time
from pathlib import Path

from celery import Celery
from taskfleet import install

from benchmarks import scratch

NOTHING, ARRIVED = "benchmarks.nothing", "benchmarks.arrived"
# Where `arrived` writes, if it runs.
NOTES = "TASKFLEET_BENCH_NOTES"


def nothing(number: int) -> None:
    """Costs nothing, so that what is measured is everything around it."""


def arrived(sent_at: float) -> None:
    """Note for how many seconds the message was on its way."""
    seconds = time.time() - sent_at
    with Path(os.environ[NOTES]).open("a") as notes:
        notes.write(f"{seconds!r}\n")


def _with_tasks(app: Celery, queue: str) -> Celery:
    app.conf.task_default_queue = queue
    app.task(name=NOTHING)(nothing)
    app.task(name=ARRIVED)(arrived)
    return app


def _plain() -> Celery:
    # What its documentation says for a Redis with TLS; no result is read, so none is kept.
    app = Celery("plain", broker=os.environ.get(scratch.PLAIN_URL), set_as_current=False)
    app.conf.broker_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    app.conf.task_ignore_result = True
    app.conf.broker_connection_retry_on_startup = True
    return _with_tasks(app, scratch.PLAIN_QUEUE)


plain = _plain()
ours = _with_tasks(install(Celery("ours", set_as_current=False)), scratch.QUEUE)
APPS = {"plain": plain, "ours": ours}
