"""One producer process: publishes what it reads from its standard input, and writes down what it was told.

How it publishes is its second argument: `IN_TURN`, one after the other; `ASYNCIO`, each in a thread that a
coroutine waits for, as an asynchronous web framework does; `GREENLETS`, each in one.

One JSON object a line. A line of the log that says `invoked` has no second line if the process was killed
in between: nobody knows then whether a broker accepted the task.
"""

from __future__ import annotations

import sys

from drills.history.program import GREENLETS

if sys.argv[2:] == [GREENLETS]:
    # Before anything else is imported, as a server with greenlets does.
    from gevent import monkey

    monkey.patch_all()

import asyncio
import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from celery import chain, chord, group
from celery.canvas import Signature
from taskfleet import publish_many
from taskfleet.errors import PartlyPublished, PublishError, TaskfleetError

from drills.history import app as tasks
from drills.history.outcomes import ACCEPTED, REFUSED, UNCERTAIN
from drills.history.program import ASYNCIO, PublishKind

GO_ON_SECONDS = 1.0


def main() -> None:
    """Until the standard input ends."""
    log, how = sys.argv[1:]
    out = Path(log).open("a", buffering=1)  # noqa: SIM115 - as long as the process lives
    _write(out, event="ready")
    if how == ASYNCIO:
        asyncio.run(_in_coroutines(out))
    elif how == GREENLETS:
        _in_greenlets(out)
    else:
        for line in sys.stdin:
            _carry_out(line, out)


async def _in_coroutines(out: Any) -> None:
    async with asyncio.TaskGroup() as together:
        while line := await asyncio.to_thread(sys.stdin.readline):
            together.create_task(asyncio.to_thread(_carry_out, line, out))


def _in_greenlets(out: Any) -> None:
    from gevent import spawn
    from gevent.fileobject import FileObjectPosix

    for line in FileObjectPosix(sys.stdin.fileno(), "r", closefd=False):
        spawn(_carry_out, line, out)


def _carry_out(line: str, out: Any) -> None:
    given = json.loads(line)
    _write(out, event="invoked", n=given["number"])
    outcome, why = _outcome(given)
    _write(out, event=outcome, n=given["number"], why=why)


def _outcome(given: dict[str, Any]) -> tuple[str, str]:
    try:
        _publish(given)
    except PublishError as error:
        return (UNCERTAIN if error.may_run else REFUSED), str(error)
    except (TaskfleetError, OSError) as error:
        return REFUSED, repr(error)
    return ACCEPTED, ""


def _publish(given: dict[str, Any]) -> None:
    run, n, seconds = given["run"], given["number"], given["task_seconds"]
    kind, options = PublishKind(given["kind"]), {"queue": given["queue"]}
    if kind is PublishKind.CHAIN:
        chain(*(tasks.step.si(run, n, each, seconds).set(**options) for each in range(3))).apply_async()
    elif kind is PublishKind.GROUP:
        group(tasks.step.si(run, n, each, seconds).set(**options) for each in range(4)).apply_async()
    elif kind is PublishKind.BULK:
        group(tasks.step.si(run, n, each, seconds).set(**options) for each in range(50)).apply_async()
    elif kind is PublishKind.MANY:
        _publish_many(tasks.step.si(run, n, each, seconds).set(**options) for each in range(50))
    elif kind is PublishKind.CHORD:
        headers = [tasks.header.si(run, n, each, seconds).set(**options) for each in range(3)]
        chord(headers)(tasks.body.s(run, n, 3).set(**options))
    elif kind is PublishKind.PARENT:
        tasks.parent.apply_async((run, n, 2, given["queue"], seconds), **options)
    elif kind is PublishKind.RETRY:
        tasks.flaky.apply_async((run, n, 0, seconds), **options)
    else:
        _publish_step(kind, given, options)


def _publish_many(signatures: Iterable[Signature]) -> None:
    try:
        publish_many(signatures)
    except PartlyPublished as error:
        time.sleep(GO_ON_SECONDS)
        error.go_on()


def _publish_step(kind: PublishKind, given: dict[str, Any], options: dict[str, Any]) -> None:
    delay = given["delay_seconds"]
    if kind is PublishKind.ETA:
        options["eta"] = datetime.now(UTC) + timedelta(seconds=delay)
    elif delay:
        options["countdown"] = delay
    if given["priority"] is not None:
        options["priority"] = given["priority"]
    result = tasks.step.apply_async((given["run"], given["number"], 0, given["task_seconds"]), **options)
    if kind is PublishKind.REVOKED:
        _revoke(result)


def _revoke(result: Any) -> None:
    try:
        result.revoke()
    except Exception as error:  # noqa: BLE001 - a revoke is a wish: the task was accepted all the same
        print(f"revoke: {error!r}", file=sys.stderr)


def _write(out: Any, **facts: Any) -> None:
    out.write(json.dumps({"at": time.time(), **facts}) + "\n")


if __name__ == "__main__":
    main()
