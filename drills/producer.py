"""``python -m drills.producer``: one producer process of a drill's load, at a set rate.

Every publish leaves a line of JSON in ``--out``, a `drills.tally.Publish`.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from taskfleet.errors import TaskfleetError

from drills import mixed
from drills.publish_recorder import PublishRecorder
from drills.tally import Publish
from drills.tasks import faulty
from drills.tasks.app import app

WARM_UP_PUBLISHES = 5


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m drills.producer", description=__doc__)
    parser.add_argument("--run", required=True, help="the name of this run, in the tasks' arguments")
    parser.add_argument("--rate", type=float, required=True, help="publishes per second")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--first", type=int, required=True, help="the first task's number")
    parser.add_argument("--step", type=int, required=True, help="from one number to the next")
    parser.add_argument("--queues", required=True, help="logical queues by comma, taken in turn")
    parser.add_argument("--task", default="record", help="one of `drills.tasks.faulty`")
    parser.add_argument("--task-seconds", default="0", help="how long each runs; by comma, taken in turn")
    parser.add_argument("--options", type=json.loads, default={}, help="JSON object for `apply_async`")
    parser.add_argument("--mixed-every", type=int, default=0, help="every n-th is of `drills.mixed`")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    watch = PublishRecorder(app.taskfleet.publisher)
    _warm_up(given)
    with given.out.open("w") as out:  # which says that the load begins
        _produce(given, out, functools.partial(_publish, watch))
    return 0


def _warm_up(given: argparse.Namespace) -> None:
    """A process under load has imported everything and is connected; what that costs is no drill's matter."""
    for number in range(WARM_UP_PUBLISHES):
        faulty.record.apply_async((f"{given.run}-warm-up", number), queue=given.queues.split(",")[0])


def _produce(
    given: argparse.Namespace, out: TextIO, publish: Callable[[Callable[[], object], int, str], Publish]
) -> None:
    queues, turn = given.queues.split(","), [float(text) for text in given.task_seconds.split(",")]
    task, count = getattr(faulty, given.task), round(given.rate * given.seconds)
    kinds = itertools.cycle(mixed.WORKFLOWS)
    more = itertools.count(given.first + count * given.step, given.step)
    started = time.monotonic()
    for number in range(count):
        # Each has its own moment: after a slow publish the next ones follow at once, as users do.
        time.sleep(max(0.0, started + number / given.rate - time.monotonic()))
        numbers, queue = [given.first + number * given.step], queues[number % len(queues)]
        if given.mixed_every and number % given.mixed_every == 0:
            kind = next(kinds)
            numbers += itertools.islice(more, kind.numbers - 1)
            call = kind.signature(given.run, numbers, queue).apply_async
        else:
            arguments = {"run": given.run, "n": numbers[0], "seconds": turn[number % len(turn)]}
            call = functools.partial(task.apply_async, kwargs=arguments, queue=queue, **given.options)
        made = publish(call, numbers[0], queue)
        for one in (made, *_started_by(made, numbers[1:])):
            print(json.dumps(dataclasses.asdict(one)), file=out, flush=True)


def _started_by(publish: Publish, numbers: Sequence[int]) -> list[Publish]:
    return [dataclasses.replace(publish, n=n, sqs_seconds=None, opened=False) for n in numbers]


def _publish(watch: PublishRecorder, call: Callable[[], object], n: int, queue: str) -> Publish:
    at, began, error, may_run = time.time(), time.monotonic(), None, False
    watch.begin()
    try:
        call()
    except TaskfleetError as raised:
        error, may_run = str(raised), getattr(raised, "may_run", False)
    seconds = time.monotonic() - began
    return Publish(
        n=n,
        at=at,
        seconds=seconds,
        broker=watch.broker,
        error=error,
        may_run=may_run,
        queue=queue,
        sqs_seconds=watch.sqs_seconds,
        opened=watch.opened,
    )


if __name__ == "__main__":
    sys.exit(main())
