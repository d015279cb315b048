"""``python -m benchmarks.feeder KIND fill|ping TIMES`` publishes for `consume`, from a process of its own.

With ``both`` as its kind, to one and the other in turn.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from celery import Celery

from benchmarks.apps import APPS, ARRIVED, NOTHING

# Between two pings, so that each meets an idle worker, and no two the same moment of its loop.
PAUSE_SECONDS = (0.02, 0.06)
SETTLE_SECONDS = 0.5


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feeder", description=__doc__)
    parser.add_argument("kind", choices=[*sorted(APPS), "both"])
    parser.add_argument("what", choices=("fill", "ping"))
    parser.add_argument("times", type=int)
    given = parser.parse_args()
    apps = list(APPS.values()) if given.kind == "both" else [APPS[given.kind]]
    (_fill if given.what == "fill" else _ping)(apps, given.times)
    return 0


def _fill(apps: list[Celery], times: int) -> None:
    for number in range(times):
        for app in apps:
            app.tasks[NOTHING].delay(number)


def _ping(apps: list[Celery], times: int) -> None:
    for app in apps:
        app.tasks[NOTHING].delay(0)  # connect: that is no worker's latency
    time.sleep(SETTLE_SECONDS)
    for _ in range(times):
        for app in apps:
            time.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - no secret
            app.tasks[ARRIVED].delay(time.time())


if __name__ == "__main__":
    sys.exit(main())
