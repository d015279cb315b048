"""``python -m benchmarks.feeder KIND fill|ping TIMES`` publishes for `consume`, from a process of its own."""

from __future__ import annotations

import argparse
import random
import sys
import time

from benchmarks.apps import APPS, ARRIVED, NOTHING

# Between two pings, so that each meets an idle worker, and no two the same moment of its loop.
PAUSE_SECONDS = (0.02, 0.06)
SETTLE_SECONDS = 0.5


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feeder", description=__doc__)
    parser.add_argument("kind", choices=sorted(APPS))
    parser.add_argument("what", choices=("fill", "ping"))
    parser.add_argument("times", type=int)
    given = parser.parse_args()
    tasks = APPS[given.kind].tasks
    if given.what == "ping":
        tasks[NOTHING].delay(0)  # connect: that is no worker's latency
        time.sleep(SETTLE_SECONDS)
    for number in range(given.times):
        if given.what == "fill":
            tasks[NOTHING].delay(number)
        else:
            time.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - no secret
            tasks[ARRIVED].delay(time.time())
    return 0


if __name__ == "__main__":
    sys.exit(main())
