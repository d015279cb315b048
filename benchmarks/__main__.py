"""``make bench BENCH=name`` (``python -m benchmarks name``): plain Celery against ours, on the local fleet.

Without a name: the list. Exit code 0 if the ratio held, 1 if not, 2 without a fleet. The figures are
kept in ``build/bench/<name>.json``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import autoscale, canary, consume, deploy, look, outage, publish, ratelimit, toolkit
from benchmarks.autoscale.compare import Comparison
from drills.fleet import Fleet
from drills.report import Report
from local.ending import exit_when_told
from local.fleet_environment import NotUp
from local.places import REPOSITORY, Places

DIRECTORY = REPOSITORY / "build" / "bench"


@dataclass(frozen=True)
class Benchmark:
    """``what`` is one line for the list."""

    name: str
    what: str
    run: Callable[[Fleet], Report]


BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark("publish", "median and 99th percentile of a publish to Redis", publish.run),
        Benchmark("consume", "no-op tasks a second through a worker, and its idle latency", consume.run),
        Benchmark("outage", "Redis dies or hangs: plain Celery, its failover list, ours", outage.run),
    )
}


# With servers of their own: without the local fleet.
ALONE: dict[str, tuple[str, Callable[[], Report | Comparison]]] = {
    "deploy": ("an incompatible release: rolling restart, workers swapped, ours", deploy.run),
    "canary": ("simulated canaries: good releases rejected, bad ones caught; SEEDS=1000", canary.run),
    "autoscale": ("our scaling and five others on eleven loads, simulated; SEEDS=30 in full", autoscale.run),
    "look": ("what the controller's look costs, with 1,000 and 1,000,000 messages", look.run),
    "ratelimit": ("70 a second with 1, 4 and 8 workers, against Celery's rate_limit", ratelimit.run),
    "toolkit": ("what each tool adds to a run: round trips, bytes, time, dollars", toolkit.run),
}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "name", nargs="?", choices=sorted([*BENCHMARKS, *ALONE]), help="which one; without it, the list"
    )
    given = parser.parse_args()
    if given.name is None:
        print("make bench BENCH=…")
        for benchmark in BENCHMARKS.values():
            print(f"  {benchmark.name}  {benchmark.what}")
        for name, (what, _) in ALONE.items():
            print(f"  {name}  {what}")
        return 0
    # Servers and workers are ended by what waits for them, so this process must not just vanish.
    exit_when_told()
    if given.name in ALONE:
        return _finish(ALONE[given.name][1]())
    try:
        fleet = Fleet(Places.from_environment())
    except NotUp as error:
        print(error, file=sys.stderr)
        return 2
    return _finish(BENCHMARKS[given.name].run(fleet))


def _finish(report: Report | Comparison) -> int:
    print(report.table())
    print(f"kept in {report.write(DIRECTORY)}")
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
