"""``python -m benchmarks.bulk``: many tasks from one thread: plain Celery's group, ours, and `publish_many`.

In turn, several times, so that a busy moment of the machine meets all alike. Prints JSON: the tasks a second
of each turn, and how much memory the process has grown by `publish_many` (KiB).
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from celery import group
from taskfleet import publish_many
from taskfleet.publishing.publisher import force_broker

from benchmarks import apps
from drills.report import Check, Figure

TURNS = 8
OF_A_GROUP = 1000
OF_A_CALL = 5000
# In the smallest container of a producer, it is a tenth.
MOST_GROWTH_KIB = 16 * 1024
LEAST_TIMES_PLAIN_GROUP = 3.0  # what is reached depends on who else needs the processors


def main() -> int:
    """Measure."""
    plain, ours = apps.plain.tasks[apps.NOTHING], apps.ours.tasks[apps.NOTHING]
    rates: dict[str, list[float]] = {"plain_group": [], "group": [], "publish_many": []}
    with force_broker("primary"):  # what went to SQS would be measured as something else
        _publish(plain, 100)
        _publish(ours, 100)
        publish_many(ours.s(number) for number in range(OF_A_CALL))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rates["publish_many"].append(_rate(OF_A_CALL * 4, lambda: _many(ours, OF_A_CALL * 4)))
        growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        for _ in range(TURNS):
            rates["plain_group"].append(_rate(OF_A_GROUP, lambda: _group(plain)))
            rates["group"].append(_rate(OF_A_GROUP, lambda: _group(ours)))
            rates["publish_many"].append(_rate(OF_A_CALL, lambda: _many(ours, OF_A_CALL)))
    json.dump({"rates": rates, "growth_kib": growth}, sys.stdout)
    return 0


def compare(said: Mapping[str, Any]) -> tuple[dict[str, Figure], list[Check]]:
    """What is printed of it, and what must hold."""
    rates: Mapping[str, Sequence[float]] = said["rates"]
    median = {name: statistics.median(each) for name, each in rates.items()}
    ratios = {name: median[name] / median["plain_group"] for name in ("group", "publish_many")}
    figures: dict[str, Figure] = {f"{name}_per_second": rate for name, rate in median.items()}
    figures |= {f"{name}_rate_ratio": ratio for name, ratio in ratios.items()}
    figures["publish_many_growth_kib"] = said["growth_kib"]
    most = LEAST_TIMES_PLAIN_GROUP
    ratio, growth = ratios["publish_many"], said["growth_kib"]
    return figures, [
        Check(f"publish_many: at least {most:g} times the rate of plain's group: {ratio:.2f}", ratio >= most),
        Check(
            f"publish_many of {OF_A_CALL * 4} takes at most {MOST_GROWTH_KIB} KiB more: {growth}",
            growth <= MOST_GROWTH_KIB,
        ),
    ]


def _publish(task: Any, times: int) -> None:
    for number in range(times):
        task.apply_async((number,))


def _group(task: Any) -> None:
    group(task.s(number) for number in range(OF_A_GROUP)).apply_async()


def _many(task: Any, count: int) -> None:
    publish_many(task.s(number) for number in range(count))


def _rate(count: int, call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
