"""What `fleet lint` says of the tasks' own files, at a worker's start."""

from __future__ import annotations

import sys

from celery import Celery

from taskfleet.errors import EX_CONFIG, PointerUnknown
from taskfleet.linting import applications, checking
from taskfleet.linting.applications import Mode
from taskfleet.linting.finding import Finding
from taskfleet.logs import logger

# A line for each would hide the rest of the log.
MOST_LINES = 20


def at_start(app: Celery, release: str) -> None:
    """Log it; with ``taskfleet_lint = "strict"`` any finding ends this process, and so its release's gate."""
    mode = applications.mode(app)
    if mode is Mode.OFF:
        return
    found = [*checking.check(applications.files(app)), *_unrouted(app, release)]
    for finding in found[:MOST_LINES]:
        logger.warning("lint: %s", finding)
    if len(found) > MOST_LINES:
        logger.warning("lint: %d findings more: `fleet lint` lists them", len(found) - MOST_LINES)
    if found and mode is Mode.STRICT:
        sys.exit(_refused(found))


def _unrouted(app: Celery, release: str) -> list[Finding]:
    try:
        queues = app.taskfleet.releases.queues(release)
    except PointerUnknown:
        return []
    return list(applications.unrouted(app, queues))


def _refused(found: list[Finding]) -> int:
    logger.error(
        "%s = 'strict', and there are %d findings: this worker does not start",
        applications.SETTING,
        len(found),
    )
    return EX_CONFIG
