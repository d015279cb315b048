"""The gate's tasks in a worker: the proof that a queue is consumed on this broker, and the team's checks."""

from __future__ import annotations

import time
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from botocore.exceptions import ClientError
from celery import Celery

from taskfleet import aws, gate_checks
from taskfleet.contract import names, state
from taskfleet.errors import SettingsError
from taskfleet.logs import logger
from taskfleet.settings import ProducerSettings, WorkerSettings
from taskfleet.worker import builds

_REASON_LENGTH = 500


def prove(app: Celery, versioned_queue: str) -> None:
    """Write the proof to the state table, and which checks the team has. Botocore's errors pass.

    The controller sends the task again until it finds the proof.
    """
    settings = _worker(app.taskfleet.settings)
    checks = [
        {"M": {"task": {"S": task}, "pool": {"S": one.pool}, "timeout": {"N": str(one.timeout_seconds)}}}
        for task, one in gate_checks.marked(app).items()
    ]
    builds.leave(app, settings)
    _put(
        settings,
        {
            state.KEY: {"S": state.gate(versioned_queue, settings.broker, settings.build or "")},
            "at": {"N": repr(time.time())},
            "release": {"S": settings.release},
            "pool": {"S": settings.pool},
            "checks": {"L": checks},
        },
    )


def check(app: Celery, task: str, registered: str, message: str) -> None:
    """Run a check of the team's and write down how it ended. Botocore's errors pass: it is run again.

    ``message`` is the id of the message: whichever comes first owns the check of this deployment
    (``registered``), so that a message that was sent twice does not run it twice. A message that comes
    again, since its worker died, does.
    """
    settings = _worker(app.taskfleet.settings)
    item = {
        state.KEY: {"S": state.gate_check(settings.release, task)},
        "registered": {"S": registered},
        "message": {"S": message},
        "begun": {"N": repr(time.time())},
        "pool": {"S": settings.pool},
    }
    mine = "registered <> :registered OR (message = :message AND attribute_not_exists(ended))"
    if not _put(settings, item, f"attribute_not_exists({state.KEY}) OR {mine}"):
        logger.info("the check %s of this deployment was begun by another message", task)
        return
    failure = _run(app, task)
    ended = {**item, "ended": {"N": repr(time.time())}}
    _put(settings, {**ended, "failure": {"S": failure[:_REASON_LENGTH]}} if failure else ended)


def _run(app: Celery, task: str) -> str:
    """Why it failed; empty if it did not."""
    try:
        app.tasks[task]()
    except SoftTimeLimitExceeded:
        logger.exception("the check %s took too long", task)
        return f"it ran for longer than its {gate_checks.marked(app)[task].timeout_seconds} s"
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it fails the gate
        logger.exception("the check %s failed", task)
        return f"{type(error).__name__}: {error}".strip().removesuffix(":")
    return ""


def _worker(settings: ProducerSettings) -> WorkerSettings:
    if not isinstance(settings, WorkerSettings):
        raise SettingsError("a gate's task proves that a worker consumes; this process is no worker")
    return settings


def _put(settings: WorkerSettings, item: dict[str, Any], condition: str | None = None) -> bool:
    """Whether it was written: False if the condition does not hold."""
    request: dict[str, Any] = {"TableName": names.state_table(settings.environment), "Item": item}
    if condition is not None:
        given = {f":{name}": item[name] for name in ("registered", "message")}
        request |= {"ConditionExpression": condition, "ExpressionAttributeValues": given}
    try:
        aws.client("dynamodb").put_item(**request)
    except ClientError as error:
        if condition is None or error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    return True
