"""``python -m drills.crowd``: one process whose threads or greenlets publish as fast as they can.

As a web server under a burst, if asked with a thread beside them that computes. Says "begins" on its standard
error when it does, and prints JSON: for each publish ``[number, at, seconds, SQS's seconds, broker]`` (broker
is null if it was refused), what was raised, and the seconds of the processor that all took.
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
PRIMARY = "primary"  # `taskfleet.contract.environment`, which can't be imported before gevent has patched


class Crowd:
    """``members`` of it share the numbers from 0; each goes on until they or the seconds are used up."""

    def __init__(self, given: argparse.Namespace) -> None:
        module, _, name = given.app.partition(":")
        self.app: Any = getattr(importlib.import_module(module), name)
        self.app.loader.import_default_modules()
        self.task, self.given = self.app.tasks[given.task], given
        self.numbers = iter(range(given.count))
        self.lines: list[tuple[int, float, float, float, str | None]] = []
        self.errors: list[str] = []
        self.over = False
        self._of_this = threading.local()
        self._watch()

    def _watch(self) -> None:
        taskfleet = getattr(self.app, "taskfleet", None)
        if taskfleet is None:  # plain Celery: whatever was accepted is on its one broker
            return
        send, offer = taskfleet.publisher.send, taskfleet.publisher._fallback.offer

        def sent(messages: Any) -> None:
            send(messages)
            self._of_this.broker = messages[0].accepted_by

        def offered(*arguments: Any) -> Any:
            began = time.monotonic()
            try:
                return offer(*arguments)
            finally:
                self._of_this.sqs_seconds = time.monotonic() - began

        taskfleet.publisher.send, taskfleet.publisher._fallback.offer = sent, offered

    def publish(self, number: int) -> None:
        """One task, noted."""
        at, began, broker = time.time(), time.monotonic(), None
        self._of_this.sqs_seconds = 0.0
        try:
            arguments = [self.given.run, number] if self.given.run else [number]
            self.task.apply_async(arguments, queue=self.given.queue)
            broker = getattr(self._of_this, "broker", PRIMARY)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is counted
            self.errors.append(f"{type(error).__name__}: {error}")
        seconds = time.monotonic() - began
        self.lines.append((number, at, seconds, self._of_this.sqs_seconds, broker))

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
        if self.given.wait:
            sys.stdin.readline()
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
    parser.add_argument("--wait", action="store_true", help="for a line on the standard input, then begin")
    parser.add_argument("--count", type=int, default=1_000_000, help="publishes of all together, at most")
    parser.add_argument("--seconds", type=float, default=120.0, help="for so long, at most")
    parser.add_argument("--app", default="drills.tasks.app:app")
    parser.add_argument("--task", default="drills.record")
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
