"""An application with a schedule, for tests of what `fleet schedule` says."""

from __future__ import annotations

from celery import Celery
from celery.schedules import crontab
from taskfleet import install

app = install(Celery("scheduled", set_as_current=False))
app.conf.beat_schedule = {
    "nightly-report": {"task": "scheduled.report", "schedule": crontab(hour=3, minute=0)},
    "still-there": {"task": "scheduled.still_there", "schedule": 60.0},
}


@app.task(name="scheduled.report", shared=False)
def report() -> None:
    """Every night."""


@app.task(name="scheduled.still_there", shared=False)
def still_there() -> None:
    """Every minute."""
