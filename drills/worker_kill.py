"""`worker-kill`: whole workers vanish under load, again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drills.chance import one_in_each, one_of
from drills.drill import Drill, Event, Observed, all_accepted, common_figures, nothing_lost, observe
from drills.fleet import Fleet
from drills.load import Load
from drills.report import Check, Report

POOLS = ("high", "low")
KILLS = 10
REDELIVERED_WITHIN_SECONDS = 20.0


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
    apart, first = (4.0, 2.0) if short else (6.0, 4.0)
    load = Load(rate=40 if short else 100, seconds=first + kills * apart, task_seconds=0.02)
    killer = Killer(fleet)
    moments = one_in_each(kills, apart=apart, first=first, share=0.5)
    events = [Event(at, f"kill {number}", killer.kill) for number, at in enumerate(moments)]
    seen = observe(fleet, "worker-kill", load, events, settle_seconds=60 if short else 180, short=short)
    return _report(seen, killer, kills)


def _report(seen: Observed, killer: Killer, kills: int) -> Report:
    times = [seen.moments[f"kill {number}"] for number in range(kills)]
    interrupted = redeliveries(seen.records, list(zip(times, killer.killed, strict=True)))
    longest, limit = max(interrupted, default=0.0), seen.limit(REDELIVERED_WITHIN_SECONDS)
    actually = sum(bool(pids) for pids in killer.killed)
    figures = common_figures(seen) | {
        "workers_killed": actually,
        "tasks_interrupted": len(interrupted),
        "longest_until_executed_again_seconds": longest,
    }
    checks = [
        nothing_lost(seen),
        all_accepted(seen),
        Check(f"{kills} workers were killed: {actually}", actually == kills),
        Check(
            f"redelivered within {limit:g} s: {longest:.1f} s",
            longest <= limit,
        ),
    ]
    return Report(name="worker-kill", checks=checks, figures=figures)


def redeliveries(
    records: Sequence[Mapping[str, object]], kills: Sequence[tuple[float, frozenset[int]]]
) -> list[float]:
    """For each task that had begun in a killed worker and not ended: seconds until it was executed."""
    ended: dict[object, list[float]] = {}
    for record in records:
        if record["event"] == "record":
            ended.setdefault(record.get("id"), []).append(float(str(record["at"])))
    waits: list[float] = []
    for at, pids in kills:
        begun = {r["id"] for r in records if r["event"] == "began" and r["pid"] in pids}
        later = (end for task in begun if (end := min(ended.get(task, [at]))) > at)
        waits.extend(end - at for end in later)
    return waits


WORKER_KILL = Drill("worker-kill", "SIGKILL of whole workers, ten times at random moments", _run)
