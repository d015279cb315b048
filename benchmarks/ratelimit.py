"""`ratelimit`: 70 a second with 1, 4 and 8 workers; Celery's ``rate_limit`` is each worker's own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from celery import Celery

from benchmarks.ratelimit_apps import NOTES, PER_SECOND, PLAIN_URL, ours, plain
from drills.report import Check, Figure, Report
from drills.tools.rig import Rig, rig
from local.places import REPOSITORY
from tests.support.processes import stop, wait_for

WORKERS = (1, 4, 8)
SECONDS = 60
WITHIN = 0.03
# What a machine of two cores takes of plain Celery with eight workers is less than eight times 70.
MOST_PLAIN = 8 * PER_SECOND
# Left out at the begin: workers fetch, and turns are reserved.
_SETTLE_SECONDS = 3.0


def run() -> Report:
    """Measure both, with each number of workers."""
    rates: dict[str, dict[int, float]] = {"ours": {}, "plain": {}}
    for workers in WORKERS:
        with rig() as fleet:
            rates["ours"][workers] = _ours(fleet, workers)
        with rig() as fleet:
            rates["plain"][workers] = _plain(fleet, workers)
    return compare(rates)


def compare(rates: Mapping[str, Mapping[int, float]]) -> Report:
    """The report of runs a second by the number of workers."""
    figures: dict[str, Figure] = {"asked_per_second": PER_SECOND, "seconds_of_each": SECONDS}
    checks = []
    for kind, by_workers in rates.items():
        figures |= {f"{kind}_with_{many}_workers_per_second": rate for many, rate in by_workers.items()}
    for many, rate in rates["ours"].items():
        off = rate / PER_SECOND - 1
        checks.append(
            Check(
                f"ours with {many} workers within {WITHIN:.0%} of {PER_SECOND}/s: {off:+.1%}",
                abs(off) <= WITHIN,
            )
        )
    return Report(name="ratelimit", checks=checks, figures=figures)


def steady(moments: Sequence[float], *, after: float, seconds: float) -> float:
    """Runs a second, in so many seconds from ``after`` seconds behind the first on."""
    begin = min(moments) + after
    return sum(begin <= moment < begin + seconds for moment in moments) / seconds


def _ours(fleet: Rig, workers: int) -> float:
    fleet.start_workers(workers, slots=2, execution="threads", application="benchmarks.ratelimit_apps:ours")
    ours.taskfleet.bind(fleet.fleet.settings())
    _publish(ours, PER_SECOND * (SECONDS + 10))
    return _measure(fleet)


def _plain(fleet: Rig, workers: int) -> float:
    environment = {**fleet.fleet.environment(), PLAIN_URL: fleet.valkey.url, "PYTHONPATH": str(REPOSITORY)}
    plain.conf.broker_url = fleet.valkey.url
    log = fleet.fleet.directory / "plain.log"
    with ExitStack() as ends, log.open("ab") as out:
        for number in range(workers):
            options = ["-c", "2", "-P", "threads", "-n", f"plain{number}@bench", "-l", "INFO", "-Q", "plain"]
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "benchmarks.ratelimit_apps:plain", "worker", *options],
                env=environment,
                stdout=out,
                stderr=out,
                cwd=REPOSITORY,
            )
            ends.callback(stop, process)
        wait_for(lambda: log.read_text().count(" ready.") == workers, seconds=180, what="plain workers")
        _publish(plain, MOST_PLAIN * (SECONDS + 10))
        return _measure(fleet)


def _publish(app: Celery, many: int) -> None:
    for n in range(many):
        app.tasks[NOTES].delay(n)


def _measure(fleet: Rig) -> float:
    def moments() -> list[float]:
        found: list[dict[str, Any]] = fleet.did()
        return [float(line["at"]) for line in found]

    wait_for(lambda: bool(moments()), seconds=60, what="the first run")
    time.sleep(SECONDS + _SETTLE_SECONDS + 2)
    return steady(moments(), after=_SETTLE_SECONDS, seconds=SECONDS)
