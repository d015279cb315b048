"""The application of the example tasks."""

from __future__ import annotations

from celery import Celery
from celery.schedules import crontab
from taskfleet import install

app = install(
    Celery(
        "example_tasks",
        include=[
            "example_tasks.tasks.notifications",
            "example_tasks.tasks.accounts",
            "example_tasks.tasks.warehouse",
            "example_tasks.tasks.reports",
        ],
    )
)

# Queues are logical names; the fleet adds the release. A task that is not listed goes to `low`.
app.conf.task_routes = {
    "example_tasks.notifications.*": {"queue": "high"},
    "example_tasks.accounts.*": {"queue": "etl"},
    "example_tasks.warehouse.pick": {"queue": "picking"},
    "example_tasks.warehouse.pack": {"queue": "packing"},
    "example_tasks.warehouse.deliver": {"queue": "delivery"},
    "example_tasks.reports.*": {"queue": "low"},
}

# Nobody waits for most of them: what is not stored costs nothing. A task whose result is read says so.
app.conf.task_ignore_result = True

app.conf.beat_schedule = {
    "nightly-report": {
        "task": "example_tasks.reports.send_all",
        "schedule": crontab(hour=3, minute=0),
        "kwargs": {"users": 200},
        # If it could not run by the morning, the next night's report replaces it.
        "options": {"expires": 4 * 3600},
    },
    "still-there": {
        "task": "example_tasks.notifications.still_there",
        "schedule": 60.0,
        # Older than its successor it says nothing.
        "options": {"expires": 60},
    },
}
