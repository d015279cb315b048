"""``python -m benchmarks.outage_producer``: publishes at a set rate to plain Celery.

Two lines of JSON for each call in ``--out``: when it begins, since it may never return; and how long it took,
with the error if it raised one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from benchmarks.outage_apps import APPS, DONE


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outage_producer", description=__doc__)
    parser.add_argument("kind", choices=sorted(APPS))
    parser.add_argument("--rate", type=float, required=True, help="publishes per second")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--first", type=int, required=True, help="the first task's number")
    parser.add_argument("--step", type=int, required=True, help="from one number to the next")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    task = APPS[given.kind].tasks[DONE]
    task.delay(-1)  # connected, as a process under load is
    with given.out.open("w") as out:
        started = time.monotonic()
        for number in range(round(given.rate * given.seconds)):
            time.sleep(max(0.0, started + number / given.rate - time.monotonic()))
            n = given.first + number * given.step
            print(json.dumps({"n": n, "at": time.time()}), file=out, flush=True)
            began, error = time.monotonic(), None
            try:
                task.delay(n)
            except Exception as raised:  # noqa: BLE001 - whatever an application would see
                error = f"{type(raised).__name__}: {raised}"
            line = {"n": n, "seconds": time.monotonic() - began, "error": error}
            print(json.dumps(line), file=out, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
