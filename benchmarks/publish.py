"""`publish`: what a publish costs, plain Celery against ours, to the same broker with TLS.

Beside them a confirmed one, which waits for a replica; here that is on the same machine, in AWS in another
zone. Blocks of each in turn, in one process, so that the machine's noise meets all alike. Then many
threads or greenlets at once (`benchmarks.crowds`), many tasks at once (`benchmarks.bulk`), and many
coroutines (`benchmarks.coroutines`).
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks import bulk, coroutines, crowds, scratch
from drills.busy_producer import Crowd
from drills.fleet import Fleet
from drills.report import Check, Figure, Report
from drills.tally import percentile

MOST_TIMES_PLAIN = 1.10


def run(fleet: Fleet) -> Report:
    """Measure and compare medians and 99th percentiles."""
    with scratch.environment(fleet) as environment:
        seconds: dict[str, list[float]] = _said("benchmarks.publisher", environment)
        together = [_crowd(crowd, environment) for crowd in crowds.CROWDS]
        together.append(bulk.compare(_said("benchmarks.bulk", environment)))
        together.append(coroutines.compare(_said("benchmarks.coroutines", environment)))
    alone = compare(**seconds)
    return Report(
        name=alone.name,
        checks=[*alone.checks, *(check for _figures, checks in together for check in checks)],
        figures={**alone.figures, **{k: v for figures, _checks in together for k, v in figures.items()}},
    )


def _said(module: str, environment: Mapping[str, str]) -> Any:
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def _crowd(crowd: Crowd, environment: Mapping[str, str]) -> tuple[dict[str, Figure], list[Check]]:
    plain, ours = (crowds.measure(crowd, name, environment) for name in ("plain", "ours"))
    return crowds.compare(crowd, plain, ours)


def compare(*, plain: list[float], ours: list[float], confirmed: list[float]) -> Report:
    """The report of seconds per publish. What a confirmed one costs is told, and bound to nothing."""
    kinds = {"plain": plain, "ours": ours, "confirmed": confirmed}
    figures: dict[str, Figure] = {"publishes_of_each": len(ours)}
    checks = []
    for name, percent in (("median", 50.0), ("p99", 99.0)):
        found = {kind: percentile(seconds, percent) or 0.0 for kind, seconds in kinds.items()}
        figures |= {f"{kind}_{name}_milliseconds": value * 1000 for kind, value in found.items()}
        figures |= {f"{kind}_{name}_ratio": found[kind] / found["plain"] for kind in ("ours", "confirmed")}
        ratio = found["ours"] / found["plain"]
        checks.append(
            Check(
                f"{name} at most {MOST_TIMES_PLAIN:.2f} times plain: {ratio:.2f}", ratio <= MOST_TIMES_PLAIN
            )
        )
    figures |= {f"{kind}_per_second": 1 / statistics.fmean(seconds) for kind, seconds in kinds.items()}
    return Report(name="publish", checks=checks, figures=figures)
