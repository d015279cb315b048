"""`publish`: what a publish costs, plain Celery against ours, to the same broker with TLS.

Blocks of both in turn, in one process, so that the machine's noise meets both alike.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from benchmarks import scratch
from drills.fleet import Fleet
from drills.report import Check, Figure, Report
from drills.tally import percentile

MOST_TIMES_PLAIN = 1.10


def run(fleet: Fleet) -> Report:
    """Measure and compare medians and 99th percentiles."""
    with scratch.environment(fleet) as environment:
        command = [sys.executable, "-m", "benchmarks.publisher"]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    seconds: dict[str, list[float]] = json.loads(done.stdout)
    return compare(plain=seconds["plain"], ours=seconds["ours"])


def compare(*, plain: list[float], ours: list[float]) -> Report:
    """The report of seconds per publish."""
    figures: dict[str, Figure] = {"publishes of each": len(ours)}
    checks = []
    for name, percent in (("median", 50.0), ("99 % within", 99.0)):
        of_plain, of_ours = percentile(plain, percent) or 0.0, percentile(ours, percent) or 0.0
        figures[f"plain Celery, {name}, milliseconds"] = of_plain * 1000
        figures[f"ours, {name}, milliseconds"] = of_ours * 1000
        ratio = of_ours / of_plain
        figures[f"ours against plain, {name}, times"] = ratio
        checks.append(
            Check(
                f"{name} at most {MOST_TIMES_PLAIN:.2f} times plain: {ratio:.2f}", ratio <= MOST_TIMES_PLAIN
            )
        )
    figures["plain Celery, publishes per second"] = 1 / statistics.fmean(plain)
    figures["ours, publishes per second"] = 1 / statistics.fmean(ours)
    return Report(name="publish", checks=checks, figures=figures)
