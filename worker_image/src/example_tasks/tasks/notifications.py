"""Urgent and short: a user waits in front of the screen."""

from __future__ import annotations

from celery.utils.log import get_task_logger

from example_tasks.app import app
from example_tasks.work import messages

logger = get_task_logger(__name__)


@app.task(name="example_tasks.notifications.send_code", expires=120, soft_time_limit=10, time_limit=15)
def send_code(user_id: int, code: str, **_later: object) -> str:
    """Send a one-time code; after two minutes nobody wants it any more, so it expires."""
    text = messages.one_time_code(user_id, code)
    logger.info("sent: %s", text)
    return text


@app.task(name="example_tasks.notifications.still_there", expires=60, soft_time_limit=10, time_limit=15)
def still_there(**_later: object) -> None:
    """Fired by beat every minute: a line in the log that says periodic work reaches the workers."""
    logger.info("still there")
