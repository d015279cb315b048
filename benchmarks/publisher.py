"""``python -m benchmarks.publisher``: the process that `publish` measures. Prints seconds as JSON."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from benchmarks import apps

BLOCKS = 20
PER_BLOCK = 100
WARM_UP = 100


def main() -> int:
    """Measure both."""
    plain, ours = apps.plain.tasks[apps.NOTHING], apps.ours.tasks[apps.NOTHING]
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    _publish(plain, WARM_UP)
    _publish(ours, WARM_UP)
    for _ in range(BLOCKS):
        seconds["plain"] += _publish(plain, PER_BLOCK)
        seconds["ours"] += _publish(ours, PER_BLOCK)
    json.dump(seconds, sys.stdout)
    return 0


def _publish(task: Any, times: int) -> list[float]:
    seconds = []
    for number in range(times):
        began = time.perf_counter()
        task.delay(number)
        seconds.append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
