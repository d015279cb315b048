"""`leak`: every task keeps 20 MiB for ever. Children are replaced in time; no container gets full."""

from __future__ import annotations

from collections import Counter

from drills.children import Scales
from drills.drill import (
    Drill,
    Observed,
    common_checks,
    common_figures,
    observe,
)
from drills.fleet import Fleet
from drills.load import Load
from drills.report import Check, Figure, Report
from drills.roles import ROLES
from local.agent.definitions import MIB

LEAK_MIB = 20
SPAN_SECONDS = 5.0
POOL = ROLES.leaking


def _run(fleet: Fleet, short: bool) -> Report:
    """Less than the other drills' rate: filling 20 MiB is what each task takes its time for."""
    # One queue, so that one container gets it all: 3 GiB a child and minute.
    load = Load(rate=15 if short else 30, seconds=16 if short else 60, task="leak", queues=POOL.queues[:1])
    killed = _killed(fleet)
    with Scales(lambda: fleet.workers(POOL.name)) as scales:
        seen = observe(fleet, "leak", load, [], settle_seconds=90, short=short)
    return _report(seen, scales, killed=_killed(fleet) - killed)


def _killed(fleet: Fleet) -> int:
    """How often the agent has enforced a container's limit so far, by its log."""
    return (fleet.places.logs / "agent.log").read_text(errors="replace").count("out of memory:")


def _report(seen: Observed, scales: Scales, *, killed: int) -> Report:
    children = tasks_by_child(seen)
    limit, allowed = POOL.memory_mib * MIB, POOL.child_memory_mib
    peak, spans = scales.peak(), scales.peaks(every_seconds=SPAN_SECONDS)
    most, at_most = max(children.values(), default=0), allowed // LEAK_MIB + 1
    replaced = sum(tasks * LEAK_MIB >= allowed * 0.8 for tasks in children.values())
    figures: dict[str, Figure] = common_figures(seen) | {
        "leaked_mib": LEAK_MIB * sum(children.values()),
        "children_used": len(children),
        "children_full_and_replaced": replaced,
        "most_tasks_of_a_child": most,
        "child_limit_mib": allowed,
        "container_limit_mib": limit // MIB,
        "container_peak_mib": peak // MIB,
        f"container_peak_in_each_{SPAN_SECONDS:g}_seconds_mib": ", ".join(str(held // MIB) for held in spans),
        "killed_for_memory": killed,
    }
    checks = [
        *common_checks(seen),
        Check(f"full children were replaced: {replaced}", replaced >= 1),
        Check(f"no child ran more than {at_most} tasks: {most}", most <= at_most),
        Check(f"the container's limit was never reached: {peak // MIB} of {limit // MIB} MiB", peak < limit),
        Check(f"nothing was killed for memory: {killed}", killed == 0),
    ]
    return Report(name="leak", checks=checks, figures=figures)


def tasks_by_child(seen: Observed) -> dict[object, int]:
    """How many leaking tasks each process ran. They alone write no broker."""
    ran = (r["pid"] for r in seen.records if r["event"] == "record" and "broker" not in r)
    return Counter(ran)


LEAK = Drill("leak", "tasks leak 20 MiB each: children are replaced before their container is full", _run)
