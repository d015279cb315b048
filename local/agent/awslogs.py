"""The log driver `awslogs` for the tasks of RunTask: what their containers write, to CloudWatch Logs.

Services' output stays in files (`make logs`): whole fleets write more than the emulated account should keep.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.agent.definitions import Stream
from local.agent.task import Task

_log = logging.getLogger(__name__)
_PAUSE_SECONDS = 0.3


async def ship(task: Task, logs: Any) -> None:
    """Send lines as they are written, until the task has stopped. ``logs`` is a boto3 client."""
    offset, made = 0, False
    while True:
        last = task.status == "STOPPED"
        stream = task.definition.stream if task.definition else None
        if stream is not None and (lines := _lines(task, offset, last=last)):
            try:
                await asyncio.to_thread(_put, logs, stream, task.id, lines, new=not made)
            except (BotoCoreError, ClientError) as error:
                _log.warning("%s: CloudWatch Logs does not take its output: %s", task.label, error)
                return
            made, offset = True, offset + sum(map(len, lines))
        if last:
            return
        await asyncio.sleep(_PAUSE_SECONDS)


def _lines(task: Task, offset: int, *, last: bool) -> list[bytes]:
    """Whole lines from there on; at last what is left, too."""
    try:
        with task.log.open("rb") as file:
            file.seek(offset)
            lines = file.read().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return lines if last or not lines or lines[-1].endswith(b"\n") else lines[:-1]


def _put(logs: Any, stream: Stream, task_id: str, lines: list[bytes], *, new: bool) -> None:
    name = f"{stream.prefix}/{task_id}"
    if new:
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_stream(logGroupName=stream.group, logStreamName=name)
    now = int(time.time() * 1000)
    events = [
        {"timestamp": now, "message": line.decode(errors="replace").rstrip("\r\n") or " "} for line in lines
    ]
    for start in range(0, len(events), 1000):
        logs.put_log_events(
            logGroupName=stream.group, logStreamName=name, logEvents=events[start : start + 1000]
        )
