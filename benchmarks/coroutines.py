"""``python -m benchmarks.coroutines``: a thousand publishes at once from one event loop.

A thread pool around plain Celery's ``delay``, which is what its users do, against ``adelay``. In turn,
several times, so that a busy moment of the machine meets both alike. Prints JSON: of each turn the tasks a
second, and for how long the loop was held at most.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from taskfleet.publishing.publisher import force_broker

from benchmarks import apps
from drills.report import Check, Figure

TURNS = 8
AT_ONCE = 1000
LOOK_SECONDS = 0.001
THREADS = 32  # asyncio's own at most
LEAST_TIMES_PLAIN = 1.5  # 1.92 was reached; it depends on who else needs the processors


def main() -> int:
    """Measure."""
    plain, ours = apps.plain.tasks[apps.NOTHING], apps.ours.tasks[apps.NOTHING]
    with ThreadPoolExecutor(THREADS) as pool, force_broker("primary"):
        measured = asyncio.run(_measure(pool, plain, ours))
    json.dump(measured, sys.stdout)
    return 0


async def _measure(pool: ThreadPoolExecutor, plain: Any, ours: Any) -> dict[str, list[tuple[float, float]]]:
    loop = asyncio.get_running_loop()
    ways: dict[str, Callable[[int], Awaitable[Any]]] = {
        "plain": lambda number: loop.run_in_executor(pool, partial(plain.delay, number)),
        "ours": lambda number: ours.adelay(number),
    }
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(1 + TURNS):
        for name, way in ways.items():
            measured = await _turn(way)
            if number:  # the first of each connects
                turns[name].append(measured)
    return turns


async def _turn(publish: Callable[[int], Awaitable[Any]]) -> tuple[float, float]:
    watching = asyncio.create_task(_watch())
    await asyncio.sleep(0)
    began = time.perf_counter()
    await asyncio.gather(*(publish(number) for number in range(AT_ONCE)))
    took = time.perf_counter() - began
    watching.cancel()
    return AT_ONCE / took, await watching


async def _watch() -> float:
    """For how many seconds the loop did not come round, at most; until it is cancelled."""
    longest, before = 0.0, time.perf_counter()
    try:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = time.perf_counter()
            longest, before = max(longest, now - before - LOOK_SECONDS), now
    except asyncio.CancelledError:
        return longest


def compare(said: Mapping[str, Sequence[Sequence[float]]]) -> tuple[dict[str, Figure], list[Check]]:
    """What is printed of it, and what must hold."""
    rates = {name: statistics.median(rate for rate, _held in turns) for name, turns in said.items()}
    held = {name: statistics.median(held for _rate, held in turns) for name, turns in said.items()}
    ratio = rates["ours"] / rates["plain"]
    figures: dict[str, Figure] = {f"coroutines_{name}_per_second": rate for name, rate in rates.items()}
    figures |= {f"coroutines_{name}_loop_held_milliseconds": 1000 * each for name, each in held.items()}
    figures["coroutines_rate_ratio"] = ratio
    return figures, [
        Check(
            f"adelay, {AT_ONCE} at once: at least {LEAST_TIMES_PLAIN:g} times a thread pool around plain's "
            f"delay: {ratio:.2f}",
            ratio >= LEAST_TIMES_PLAIN,
        )
    ]


if __name__ == "__main__":
    sys.exit(main())
