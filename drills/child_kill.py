"""`child-kill`: processes that run tasks are killed under load, as the kernel does when memory runs out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drills import children
from drills.chance import one_in_each, one_of
from drills.drill import (
    Drill,
    Event,
    Observed,
    common_checks,
    common_figures,
    observe,
)
from drills.fleet import Fleet
from drills.load import Load
from drills.report import Check, Report
from drills.tally import tally
from drills.worker_kill import POOLS, TASK_SECONDS, redelivered, redeliveries

KILLS = 30
# Celery counts the death as a retry, and that waits `default_retry_delay` (5 s) before it is tried again.
EXECUTED_AGAIN_WITHIN_SECONDS = 20.0


@dataclass
class Killer:
    """Kills a child at a time; ``killed`` has its process id, or nothing if there was none."""

    fleet: Fleet
    killed: list[frozenset[int]] = field(default_factory=list)

    def kill(self) -> None:
        """One child of one worker of the two pools, whichever: the worker itself lives."""
        found = [pid for worker in self.fleet.workers(*POOLS) for pid in children.children(worker)]
        pid = one_of(found) if found else None
        self.killed.append(frozenset({pid}) if pid is not None and children.kill(pid) else frozenset())


def _run(fleet: Fleet, short: bool) -> Report:
    kills = 8 if short else KILLS
    apart, first = (1.25, 2.0) if short else (2.0, 3.0)
    load = Load(rate=40 if short else 100, seconds=first + kills * apart, task_seconds=TASK_SECONDS)
    killer = Killer(fleet)
    moments = one_in_each(kills, apart=apart, first=first)
    events = [Event(at, f"kill {number}", killer.kill) for number, at in enumerate(moments)]
    before = fleet.workers(*POOLS)
    seen = observe(fleet, "child-kill", load, events, settle_seconds=60 if short else 120, short=short)
    return _report(seen, killer, workers_gone=fleet.gone(before))


def _report(seen: Observed, killer: Killer, *, workers_gone: int) -> Report:
    times = [seen.moments[f"kill {number}"] for number in range(len(killer.killed))]
    interrupted = redeliveries(seen.records, list(zip(times, killer.killed, strict=True)))
    actually = sum(bool(pids) for pids in killer.killed)
    explained = ended_and_killed(seen.records, frozenset[int]().union(*killer.killed))
    duplicates = tally(seen.publishes, seen.executions).duplicates
    figures = common_figures(seen) | {
        "children_killed": actually,
        "tasks_interrupted": len(interrupted),
        "longest_until_executed_again_seconds": max(interrupted, default=None),
        "duplicates_killed_before_they_were_acknowledged": explained,
        "workers_ended": workers_gone,
    }
    checks = [
        *common_checks(seen),
        Check(
            f"at least two thirds of {len(killer.killed)} children were killed: {actually}",
            3 * actually >= 2 * len(killer.killed),
        ),
        Check(
            f"a task ran twice only if its child was killed after its last line: {explained} of {duplicates}",
            explained == duplicates,
        ),
        still_there(workers_gone),
        redelivered(seen, interrupted, EXECUTED_AGAIN_WITHIN_SECONDS),
    ]
    return Report(name="child-kill", checks=checks, figures=figures)


def still_there(gone: int) -> Check:
    """By `drills.fleet.Fleet.gone`."""
    return Check(f"the workers themselves go on: {gone} ended or were started again", gone == 0)


def ended_and_killed(records: Sequence[Mapping[str, object]], killed: frozenset[int]) -> int:
    """Executions again of tasks that had come to their end in one of these processes.

    That is the one window at least once leaves: done, and killed before it could be said.
    """
    ends: dict[object, list[object]] = {}
    for record in records:
        if record["event"] == "record":
            ends.setdefault(record.get("id"), []).append(record["pid"])
    return sum(len(pids) - 1 for pids in ends.values() if any(pid in killed for pid in pids[:-1]))


CHILD_KILL = Drill(
    "child-kill", "SIGKILL of prefork children at random moments, as the OOM killer does", _run
)
