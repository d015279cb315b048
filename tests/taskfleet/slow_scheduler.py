"""An application whose scheduler is slow to make, under a lock as clients of a server are."""

from __future__ import annotations

import threading
import time
from typing import Any

from celery import Celery
from celery.beat import Scheduler
from taskfleet import install

_lock = threading.Lock()


class SlowScheduler(Scheduler):  # type: ignore[misc]
    """Says so while it is being made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        with _lock:
            print("being made", flush=True)
            time.sleep(3)
        super().__init__(*args, **kwargs)


app = install(Celery("slow-scheduler", set_as_current=False))
app.conf.beat_scheduler = "tests.taskfleet.slow_scheduler:SlowScheduler"
