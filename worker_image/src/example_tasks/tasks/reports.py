"""A report to all users: one task that fans out into portions, on the `low` queue."""

from __future__ import annotations

from celery.utils.log import get_task_logger

from example_tasks.app import app
from example_tasks.work import reports

logger = get_task_logger(__name__)

PORTION = 50


@app.task(name="example_tasks.reports.send_all")
def send_all(users: int, portion: int = PORTION, **_later: object) -> int:
    """Start one task for each portion of users. Returns how many."""
    started = 0
    for first, last in reports.portions(users, portion):
        send_portion.delay(first, last)
        started += 1
    return started


@app.task(name="example_tasks.reports.send_portion")
def send_portion(first: int, last: int, **_later: object) -> int:
    """Send the report to the users ``first`` to ``last``."""
    for user_id in range(first, last + 1):
        logger.debug("report: %s", reports.text(user_id))
    return last - first + 1
