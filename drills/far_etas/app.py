"""The application of the drill: one task, which writes down how late it begins."""

from __future__ import annotations

import time

from celery import Celery
from taskfleet import install

from drills.tasks import journal

app = install(Celery("far-etas", set_as_current=False))
app.conf.task_default_queue = "low"


@app.task(name="far_etas.arrived", shared=False)  # type: ignore[untyped-decorator]
def arrived(group: str, n: int, due: float) -> None:
    """``due`` is in seconds since the epoch."""
    journal.write("did", group=group, n=n, due=due, late=time.time() - due)
