"""`worker-kill`: whole workers vanish under load, again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
from drills.roles import ROLES

POOLS = ROLES.pools
KILLS = 10
REDELIVERED_WITHIN_SECONDS = 20.0
# A tenth of the tasks runs long enough that kills of chance meet them while they run.
TASK_SECONDS = (*[0.01] * 9, 0.2)


@dataclass
class Killer:
    """Kills a worker at a time; ``killed`` has the processes that went with it, and ``at`` when."""

    fleet: Fleet
    killed: list[frozenset[int]] = field(default_factory=list)

    def kill(self) -> None:
        """One worker of the two pools, whichever."""
        workers = self.fleet.workers(*POOLS)
        if not workers:
            self.killed.append(frozenset())
            return
        worker = one_of(workers)
        self.killed.append(worker.pids())
        worker.kill()


def _run(fleet: Fleet, short: bool) -> Report:
    kills = 3 if short else KILLS
    # A worker that still starts has nothing to lose: most should be working again by the next kill.
    apart, first = (4.0, 2.0) if short else (8.0, 4.0)
    load = Load(rate=40 if short else 100, seconds=first + kills * apart, task_seconds=TASK_SECONDS)
    killer = Killer(fleet)
    moments = one_in_each(kills, apart=apart, first=first, share=0.5)
    events = [Event(at, f"kill {number}", killer.kill) for number, at in enumerate(moments)]
    seen = observe(fleet, "worker-kill", load, events, settle_seconds=60 if short else 180, short=short)
    return _report(seen, killer, kills)


def _report(seen: Observed, killer: Killer, kills: int) -> Report:
    times = [seen.moments[f"kill {number}"] for number in range(kills)]
    interrupted = redeliveries(seen.records, list(zip(times, killer.killed, strict=True)))
    actually = sum(bool(pids) for pids in killer.killed)
    figures = common_figures(seen) | {
        "workers_killed": actually,
        "tasks_interrupted": len(interrupted),
        "longest_until_executed_again_seconds": max(interrupted, default=None),
    }
    checks = [
        *common_checks(seen),
        Check(f"{kills} workers were killed: {actually}", actually == kills),
        redelivered(seen, interrupted, REDELIVERED_WITHIN_SECONDS),
    ]
    return Report(name="worker-kill", checks=checks, figures=figures)


def redelivered(seen: Observed, waits: Sequence[float], seconds: float) -> Check:
    """What was interrupted ran again in time. The few kills of the short form may all miss."""
    longest, limit = max(waits, default=0.0), seen.limit(seconds)
    text = f"{len(waits)} tasks were interrupted, each was executed again within {limit:g} s: {longest:.1f} s"
    return Check(text, longest <= limit and (bool(waits) or seen.short))


def redeliveries(
    records: Sequence[Mapping[str, object]], kills: Sequence[tuple[float, frozenset[int]]]
) -> list[float]:
    """For each task that a kill interrupted: seconds until it was executed, which then was elsewhere.

    Interrupted is what had begun in a killed process and had not come to its end. One that never does is
    lost, and counted there.
    """
    ended: dict[object, list[float]] = {}
    for record in records:
        if record["event"] == "record":
            ended.setdefault(record.get("id"), []).append(_at(record))
    waits: list[float] = []
    for at, pids in kills:
        # Not what began later: the number of a process that is gone may be given to another.
        begun = {r["id"] for r in records if r["event"] == "began" and r["pid"] in pids and _at(r) <= at}
        waits += [end - at for task in begun if (end := min(ended.get(task, [at]))) > at]
    return waits


def _at(record: Mapping[str, object]) -> float:
    return float(str(record["at"]))


WORKER_KILL = Drill("worker-kill", "SIGKILL of whole workers, ten times at random moments", _run)
