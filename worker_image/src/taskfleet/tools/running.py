"""The run that a tool is used in."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from celery import current_task

from taskfleet import aws, in_memory
from taskfleet.logs import logger
from taskfleet.tools.leases import Lease, Leases

# What DynamoDB or the way to it may raise: nothing is known then, and nothing is done.
UNKNOWN = (BotoCoreError, ClientError)


def task_of_a_message() -> Any | None:
    """The task that runs here because of a message; None for a plain call, an eager one, or a team's test."""
    task = current_task._get_current_object() if current_task else None
    if task is None or task.request.called_directly or task.request.is_eager or in_memory.used(task.app):
        return None
    return task


def leases(task: Any) -> Leases:
    """Of the environment that the task runs in."""
    return Leases(aws.client("dynamodb"), task.app.taskfleet.settings.environment)


@contextlib.contextmanager
def renewed(of: Leases, lease: Lease, seconds: float) -> Iterator[None]:
    """Renew the lease while the block runs. Raises ``RuntimeError`` if no thread can be started for it."""
    ended = threading.Event()
    thread = threading.Thread(
        target=_renew, args=(of, lease, seconds, ended), name="taskfleet-lease", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()


def _renew(of: Leases, lease: Lease, seconds: float, ended: threading.Event) -> None:
    while not ended.wait(seconds / 3):
        try:
            if not of.renew(lease, seconds):
                logger.error("the lease of %s had ended before it could be renewed", lease.key)
                return
        except UNKNOWN as error:
            logger.warning("the lease of %s was not renewed, it is tried again: %s", lease.key, error)
