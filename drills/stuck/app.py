"""Its tasks."""

from __future__ import annotations

import os
import time

from celery import Celery
from taskfleet import install
from taskfleet.contract.environment import BROKER, RELEASE

from drills.tasks import journal

app = install(Celery("stuck", set_as_current=False))
app.conf.task_default_queue = "low"


@app.task(name="stuck.number", shared=False)
def number(producer: str, n: int, seconds: float = 0.0) -> None:
    """Write it down, after so long."""
    time.sleep(seconds)
    journal.write(
        "did", producer=producer, n=n, release=os.environ[RELEASE.name], broker=os.environ[BROKER.name]
    )


@app.task(name="stuck.endless", shared=False, time_limit=3600, soft_time_limit=3500)
def endless() -> None:
    """Never end."""
    journal.write("hangs", pid=os.getpid())
    while True:
        time.sleep(1)
