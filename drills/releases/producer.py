"""A producer that follows the pointer: a mix at a rate until SIGTERM, and what became of each publish.

As a web process does whose code comes with the release: it calls a task as the current release wants it. What
has no signature of its own goes to whatever release is current at the publish.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import chain, chord, group
from kombu.exceptions import KombuError
from taskfleet.contract.names import versioned_queue
from taskfleet.errors import PublishError, TaskfleetError

from drills.releases import app as tasks

QUEUES = ("low", "high")
# Of stock Celery: a file with the release that the producers' own code is of.
CODE = "TASKFLEET_DRILL_CODE"
# The farthest of the mix; a drain waits for it.
COUNTDOWNS = (1.0, 3.0, 6.0)
# No drain waits for these (`drills.releases.stack.ETAS_BEYOND_SECONDS`).
LONG_COUNTDOWN_SECONDS = 25.0


def _step(run: str, n: int, release: str, queue: str) -> None:
    tasks.step.apply_async((run, n, 0), tasks.arguments(release), queue=_queue_of(queue, release))


def _plain(run: str, n: int, release: str, queue: str) -> None:
    tasks.plain.apply_async((run, n, 0), queue=queue)


def _countdown(run: str, n: int, release: str, queue: str) -> None:
    tasks.step.apply_async(
        (run, n, 0),
        tasks.arguments(release),
        queue=_queue_of(queue, release),
        countdown=COUNTDOWNS[n % len(COUNTDOWNS)],
    )


def _far(run: str, n: int, release: str, queue: str) -> None:
    """It waits in the table of ETAs, and another release is current when it is due."""
    countdown = COUNTDOWNS[0] if CODE in os.environ else LONG_COUNTDOWN_SECONDS
    tasks.plain.apply_async((run, n, 0), queue=queue, countdown=countdown)


def _flaky(run: str, n: int, release: str, queue: str) -> None:
    tasks.flaky.apply_async((run, n, 0), tasks.arguments(release), queue=_queue_of(queue, release))


def _parent(run: str, n: int, release: str, queue: str) -> None:
    tasks.parent.apply_async((run, n, 0), tasks.arguments(release), queue=_queue_of(queue, release))


def _chain(run: str, n: int, release: str, queue: str) -> None:
    """Its later steps name no release: they are published by workers, which stay on theirs."""
    steps = [tasks.step.si(run, n, each, **tasks.arguments(release)).set(queue=queue) for each in range(3)]
    steps[0].set(queue=_queue_of(queue, release))
    chain(steps).apply_async()


def _group(run: str, n: int, release: str, queue: str) -> None:
    group(_all(tasks.step, run, n, release, queue)).apply_async()


def _chord(run: str, n: int, release: str, queue: str) -> None:
    body = tasks.body.s(run, n, 3, **tasks.arguments(release)).set(queue=queue)
    chord(_all(tasks.header, run, n, release, queue))(body)


def _all(task: Any, run: str, n: int, release: str, queue: str) -> list[Any]:
    return [
        task.si(run, n, each, **tasks.arguments(release)).set(queue=_queue_of(queue, release))
        for each in range(3)
    ]


# How, and how many tasks it is: 21 in eleven publishes.
MIX: tuple[tuple[Callable[[str, int, str, str], None], int], ...] = (
    (_step, 1),
    (_chain, 3),
    (_plain, 1),
    (_chord, 4),
    (_countdown, 1),
    (_far, 1),
    (_parent, 1 + tasks.CHILDREN),
    (_step, 1),
    (_flaky, 1),
    (_group, 3),
    (_plain, 1),
)


def main() -> None:
    """``python -m drills.releases.producer RUN RATE LOG``: so many publishes a second."""
    run, rate, log = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])
    over: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: over.append(number))
    with log.open("a", buffering=1) as out:
        n, due = 0, time.monotonic()
        while not over:
            out.write(json.dumps(_publish(run, n)) + "\n")
            n, due = n + 1, due + 1 / rate
            time.sleep(max(0.0, due - time.monotonic()))


def _release() -> str:
    """The one to publish to."""
    if CODE in os.environ:
        return Path(os.environ[CODE]).read_text()
    return str(tasks.app.taskfleet.releases.current())


def _queue_of(queue: str, release: str) -> str:
    return queue if CODE in os.environ else versioned_queue(queue, release)


def _publish(run: str, n: int) -> dict[str, Any]:
    how, many = MIX[n % len(MIX)]
    at, began = time.time(), time.monotonic()
    accepted, may_run, why, release = True, True, "", None
    try:
        release = _release()
        how(run, n, release, QUEUES[n // len(MIX) % len(QUEUES)])
    except PublishError as error:
        accepted, may_run, why = False, error.may_run, str(error)
    except (TaskfleetError, KombuError, OSError) as error:
        accepted, may_run, why = False, False, repr(error)
    seconds = time.monotonic() - began
    facts = {"kind": how.__name__.strip("_"), "tasks": many, "release": release, "why": why}
    return {"n": n, "at": at, "seconds": seconds, "accepted": accepted, "may_run": may_run, **facts}


if __name__ == "__main__":
    main()
