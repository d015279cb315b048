"""`consume`: no-op tasks a second through one worker, and how long an idle one lets a task wait.

Plain Celery as its documentation starts it against a worker of a fleet with everything on: late
acknowledgement, leases, limits, JSON logs, timing. Both have two slots, on the same broker with TLS, in turn
in every round. A worker's start is left out: the clock runs from a tenth of the queue to nine tenths.
The processor time that a worker uses for a task is told beside it: it says more on a busy machine.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from taskfleet.contract import names

from benchmarks import processor, scratch
from benchmarks.consumers import SLOTS, Worker, worker
from drills.fleet import Fleet
from drills.report import Check, Figure, Report
from drills.tally import percentile
from local.places import REPOSITORY

KINDS = ("plain", "ours")
QUEUES = {"plain": scratch.PLAIN_QUEUE, "ours": names.versioned_queue(scratch.QUEUE, scratch.RELEASE)}
TASKS, ROUNDS, PINGS = 4000, 5, 150
LEAST_TIMES_PLAIN = 1.1
# Half a millisecond more is not felt, and is what two runs of the same thing differ by here.
NO_WORSE = 1.05
NOISE_SECONDS = 0.0005
LOOK_SECONDS = 0.02
WAIT_SECONDS = 120.0


def run(fleet: Fleet) -> Report:
    """Measure both, in turn, and compare."""
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    costs: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with scratch.environment(fleet) as variables, tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        client = scratch.client(variables[scratch.PLAIN_URL], variables)
        for _ in range(ROUNDS):
            for kind in KINDS:
                _feed(variables, kind, "fill", TASKS)
                with worker(kind, variables, directory) as started:
                    rate, cost = _rate(client, QUEUES[kind], started)
                    rates[kind].append(rate)
                    costs[kind].append(cost)
        waits = _waits(variables, directory)
    return compare(rates, waits, costs)


def _feed(variables: Mapping[str, str], kind: str, what: str, times: int) -> None:
    command = [sys.executable, "-m", "benchmarks.feeder", kind, what, str(times)]
    subprocess.run(command, env=dict(variables), cwd=REPOSITORY, check=True)


def _rate(client: Any, queue: str, started: Worker) -> tuple[float, float]:
    """Tasks a second, and the seconds of processor time that the worker used for each."""
    first, began = _when_at_most(client, queue, 0.9 * TASKS)
    used_before = processor.seconds(started.session)
    last, ended = _when_at_most(client, queue, 0.1 * TASKS)
    used = processor.seconds(started.session) - used_before
    _when_at_most(client, queue, 0)
    return (first - last) / (ended - began), used / (first - last)


def _when_at_most(client: Any, queue: str, left: float) -> tuple[int, float]:
    end = time.monotonic() + WAIT_SECONDS
    while (waiting := client.llen(queue)) > left:
        if time.monotonic() > end:
            raise RuntimeError(f"after {WAIT_SECONDS:.0f} s {waiting} tasks still wait in {queue}")
        time.sleep(LOOK_SECONDS)
    return waiting, time.monotonic()


def _waits(variables: Mapping[str, str], directory: Path) -> dict[str, list[list[float]]]:
    """Seconds from a publish to its begin, in each round, with a worker of each kind idle at the same time.

    They are asked in turn, so that whatever else the machine does meets both alike.
    """
    waits: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
    with ExitStack() as started:
        workers = {kind: started.enter_context(worker(kind, variables, directory)) for kind in KINDS}
        for number in range(ROUNDS):
            _feed(variables, "both", "ping", PINGS)
            for kind in KINDS:
                waits[kind].append(_noted(workers[kind].notes, (number + 1) * PINGS)[-PINGS:])
    return waits


def _noted(notes: Path, count: int) -> list[float]:
    end = time.monotonic() + WAIT_SECONDS
    while len(lines := notes.read_text().splitlines()) < count:
        if time.monotonic() > end:
            raise RuntimeError(f"after {WAIT_SECONDS:.0f} s {len(lines)} of {count} pings have arrived")
        time.sleep(LOOK_SECONDS)
    return [float(line) for line in lines]


def compare(
    rates: Mapping[str, Sequence[float]],
    waits: Mapping[str, Sequence[Sequence[float]]],
    costs: Mapping[str, Sequence[float]],
) -> Report:
    """The report of each kind's tasks a second, one number a round, of its seconds from publish to begin
    in each round, and of the processor time that a task costs.
    """
    medians = {kind: statistics.median(rates[kind]) for kind in KINDS}
    ratio = statistics.median(ours / plain for ours, plain in zip(rates["ours"], rates["plain"], strict=True))
    figures: dict[str, Figure] = {"tasks": TASKS, "slots": SLOTS, "rounds": ROUNDS}
    for kind in KINDS:
        figures[f"{kind}_tasks_per_second"] = medians[kind]
        figures[f"{kind}_processor_seconds_per_1000_tasks"] = 1000 * statistics.median(costs[kind])
        figures[f"{kind}_tasks_per_second_in_each_round"] = ", ".join(f"{rate:.0f}" for rate in rates[kind])
    figures["consume_ratio"] = ratio
    checks = [
        Check(
            f"tasks per second at least {LEAST_TIMES_PLAIN:g} times plain: {ratio:.2f}",
            ratio >= LEAST_TIMES_PLAIN,
        )
    ]
    for name, percent in (("p50", 50.0), ("p99", 99.0)):
        of = {kind: _percentile(waits[kind], percent) for kind in KINDS}
        figures |= {f"{kind}_idle_latency_{name}_seconds": of[kind] for kind in KINDS}
        no_worse = of["ours"] <= max(NO_WORSE * of["plain"], of["plain"] + NOISE_SECONDS)
        text = f"idle latency {name} no worse: {1000 * of['ours']:.1f} ms, plain {1000 * of['plain']:.1f} ms"
        checks.append(Check(text, no_worse))
    return Report(name="consume", checks=checks, figures=figures)


def _percentile(rounds: Sequence[Sequence[float]], percent: float) -> float:
    """The median of the rounds' percentiles: one bad moment of the machine decides one round only."""
    return statistics.median(percentile(list(seconds), percent) or 0.0 for seconds in rounds)
