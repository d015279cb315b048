"""Large data goes by S3: the caller stores it and passes a small reference, the task gets the data.

The bucket is the team's own (``app.conf.taskfleet_payload_bucket``); its lifecycle rule deletes what is
older than the team wants, and a reference says until when it can be read.
"""

from __future__ import annotations

import functools
import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from botocore.exceptions import ClientError
from celery import Celery, current_app
from kombu.utils.json import dumps, loads

from taskfleet import aws, in_memory
from taskfleet.errors import SettingsError, TaskfleetError

F = TypeVar("F", bound=Callable[..., Any])

BUCKET = "taskfleet_payload_bucket"
PREFIX = "taskfleet-payloads/"
KEEP_DAYS = 14
# What makes an argument a reference; its value is the bucket and the object's key.
MARK = "taskfleet-stored"


class PayloadGone(TaskfleetError):
    """What an argument refers to was deleted, or its time is over: the task can't get its data."""


def store(value: Any, *, keep_days: int = KEEP_DAYS, app: Celery | None = None) -> dict[str, Any]:
    """Keep ``value`` (JSON, as Celery writes it) in S3, and return what to pass in its place.

    The task must be `stored`. It can read the value for ``keep_days``: give more than the task may wait, its
    retries and a redrive included (a dead letter is kept for 14 days). Where there is no fleet (an eager
    task, a broker in memory) nothing is stored, and the value itself is in the reference.
    """
    app = app or current_app._get_current_object()
    if keep_days < 1:
        raise ValueError(f"store(keep_days={keep_days}): 1 day at least")
    if app.conf.task_always_eager or in_memory.used(app):
        return {MARK: None, "value": value}
    bucket, key = _bucket(app), f"{PREFIX}{uuid.uuid4().hex}"
    body = dumps(value).encode()
    aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
    return {MARK: f"{bucket}/{key}", "until": int(time.time()) + keep_days * 86400}


def stored() -> Callable[[F], F]:
    """A task whose arguments may come by `store`; put it below ``@app.task``.

    References among its arguments (not inside of them) are replaced by what they refer to. Raises
    `PayloadGone` for what is no longer there.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            return function(*map(_value, args), **{name: _value(value) for name, value in kwargs.items()})

        return run  # type: ignore[return-value]

    return decorate


def _value(argument: Any) -> Any:
    if not isinstance(argument, dict) or MARK not in argument:
        return argument
    place = argument[MARK]
    if place is None:
        return argument["value"]
    until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(argument["until"]))
    if argument["until"] < time.time():
        raise PayloadGone(f"{place} could be read until {until}: store(keep_days=…) says how long")
    bucket, _, key = place.partition("/")
    try:
        reply = aws.client("s3").get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        raise PayloadGone(
            f"{place} is not there: does the bucket's lifecycle rule keep objects until {until}?"
        ) from error
    return loads(reply["Body"].read())


def _bucket(app: Any) -> str:
    bucket = app.conf.get(BUCKET)
    if not bucket:
        raise SettingsError(
            f"{BUCKET} is not set: name the S3 bucket that large arguments go through, app.conf.{BUCKET} = …"
        )
    return str(bucket)
