"""``python -m benchmarks.publisher``: the process that `publish` measures. Prints seconds as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from taskfleet.publishing.publisher import force_broker

from benchmarks import apps, scratch

BLOCKS = 800
PER_BLOCK = 25  # short, so that a busy moment of the machine meets all three
WARM_UP = 100


def main() -> int:
    """Measure all three."""
    plain, ours = apps.plain.tasks[apps.NOTHING], apps.ours.tasks[apps.NOTHING]
    kinds: dict[str, tuple[Any, Mapping[str, str]]] = {
        "plain": (plain, {}),
        "ours": (ours, {}),
        "confirmed": (ours, {"queue": scratch.CONFIRMED}),
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    with force_broker("primary"):  # one that went to SQS would be measured as something else
        for task, options in kinds.values():
            _publish(task, options, WARM_UP)
        for _ in range(BLOCKS):
            for kind, (task, options) in kinds.items():
                seconds[kind] += _publish(task, options, PER_BLOCK)
    json.dump(seconds, sys.stdout)
    return 0


def _publish(task: Any, options: Mapping[str, str], times: int) -> list[float]:
    seconds = []
    for number in range(times):
        began = time.perf_counter()
        task.apply_async((number,), **options)
        seconds.append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
