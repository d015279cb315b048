"""``python -m drills.crowd``: one process whose threads or greenlets publish as fast as they can.

As a web server under a burst, if asked with a thread beside them that computes. Prints JSON on one line: for
each publish ``[at, seconds, broker]`` (broker is null if it was refused), what was raised, and the seconds of
the processor that all took.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import threading
import time
from typing import Any

WARM_UP_PUBLISHES = 5


class Crowd:
    """``members`` of it share the numbers from 0; each goes on until they or the seconds are used up."""

    def __init__(self, given: argparse.Namespace) -> None:
        module, _, name = given.app.partition(":")
        self.app: Any = getattr(importlib.import_module(module), name)
        self.app.loader.import_default_modules()
        self.task, self.given = self.app.tasks[given.task], given
        self.numbers = iter(range(given.count))
        self.lines: list[tuple[float, float, str | None]] = []
        self.errors: list[str] = []
        self.over = False
        self._accepted = threading.local()
        self._watch()

    def _watch(self) -> None:
        taskfleet = getattr(self.app, "taskfleet", None)
        if taskfleet is None:  # plain Celery: whatever was accepted is on its one broker
            self._accepted.by = "primary"
            return
        publish = taskfleet.publisher.publish

        def watched(*arguments: Any) -> str:
            self._accepted.by = publish(*arguments)
            return str(self._accepted.by)

        taskfleet.publisher.publish = watched

    def publish(self, number: int) -> None:
        """One task, noted."""
        at, began, broker = time.time(), time.monotonic(), None
        try:
            arguments = [self.given.run, number] if self.given.run else [number]
            self.task.apply_async(arguments, queue=self.given.queue)
            broker = getattr(self._accepted, "by", "primary")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is counted
            self.errors.append(f"{type(error).__name__}: {error}")
        self.lines.append((at, time.monotonic() - began, broker))

    def member(self) -> None:
        """What each of them does."""
        end = time.monotonic() + self.given.seconds
        while time.monotonic() < end:
            number = next(self.numbers, None)
            if number is None:
                return
            self.publish(number)

    def compute(self) -> None:
        """The one beside them."""
        while not self.over:
            sum(range(20_000))
            if self.given.greenlets:
                time.sleep(0)  # as code that knows of its event loop does

    def run(self) -> float:
        """All of them, to the end; the seconds of the processor that it took."""
        for number in range(WARM_UP_PUBLISHES):
            self.publish(-1 - number)
        self.lines.clear()
        members = [threading.Thread(target=self.member) for _ in range(self.given.members)]
        if self.given.compute:
            threading.Thread(target=self.compute, daemon=True).start()
        print("begins", file=sys.stderr, flush=True)
        began = time.process_time()
        for thread in members:
            thread.start()
        for thread in members:
            thread.join()
        self.over = True
        return time.process_time() - began


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m drills.crowd", description=__doc__)
    parser.add_argument("--members", type=int, required=True)
    parser.add_argument("--greenlets", action="store_true", help="gevent's, instead of threads")
    parser.add_argument("--compute", action="store_true", help="with a thread beside them that computes")
    parser.add_argument("--count", type=int, default=1_000_000, help="publishes of all together, at most")
    parser.add_argument("--seconds", type=float, default=120.0, help="for so long, at most")
    parser.add_argument("--app", default="example_tasks.app:app")
    parser.add_argument("--task", default="example_tasks.drill.record")
    parser.add_argument("--run", default="", help="the tasks' first argument, if they take one")
    parser.add_argument("--queue", default="low")
    given = parser.parse_args()
    if given.greenlets:
        from gevent import monkey

        monkey.patch_all()
    crowd = Crowd(given)
    processor = crowd.run()
    json.dump({"publishes": crowd.lines, "errors": crowd.errors, "processor": processor}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
