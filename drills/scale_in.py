"""`scale-in`: workers are stopped in the middle of their work, as ECS does it when it takes capacity away.

By ``StopTask``, the call behind a scale-in: SIGTERM, the container's stop timeout, SIGKILL. Most tasks end
within the worker's soft shutdown; a few run longer, are stopped, and must be run again by somebody else.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drills.chance import one_in_each, one_of
from drills.drill import (
    Drill,
    Event,
    Observed,
    common_checks,
    common_figures,
    observe,
)
from drills.fleet import Fleet, Worker
from drills.load import Load
from drills.report import Check, Figure, Report
from drills.roles import ROLES

POOLS = ROLES.pools
SOFT = max(pool.limits.soft_shutdown_seconds for pool in ROLES.busy)
HARD = max(pool.limits.stop_timeout_seconds for pool in ROLES.busy)
KILLED = 137
# A worker that was stopped has a successor by then, which the next stop may take.
REPLACED_WITHIN_SECONDS = 40.0
# In turn: hardly any time, well within the soft shutdown, and longer than it.
TASK_SECONDS = (*[0.01] * 60, 0.5, *[0.01] * 60, 2.0, *[0.01] * 120, SOFT + 2.0)


@dataclass(frozen=True)
class Stopped:
    """A worker that ECS was asked to stop ``at`` seconds since the epoch, and its processes then."""

    container: str
    pids: frozenset[int]
    at: float


@dataclass
class Stopper:
    """Stops a worker at a time."""

    fleet: Fleet
    stopped: list[Stopped] = field(default_factory=list)

    def stop(self) -> None:
        """One worker of the two pools, whichever works; one that still starts has nothing to lose."""
        end = time.monotonic() + REPLACED_WITHIN_SECONDS
        while not (ready := self._ready()):
            if time.monotonic() > end:
                return
            time.sleep(0.5)
        worker = one_of(ready)
        self.stopped.append(Stopped(worker.container, worker.pids(), time.time()))
        self.fleet.stop(worker.container, reason="the drill scale-in")

    def _ready(self) -> list[Worker]:
        workers = {
            w.container: w for w in self.fleet.workers(*POOLS) if w.container not in self._containers()
        }
        found = self.fleet.tasks(workers)
        return [workers[_id(task)] for task in found if task["healthStatus"] == "HEALTHY"]

    def ends(self) -> list[dict[str, Any]]:
        """What ECS says of them, once all have stopped."""
        deadline = time.monotonic() + HARD + 10
        while True:
            found = self.fleet.tasks(self._containers())
            if all(task["lastStatus"] == "STOPPED" for task in found) or time.monotonic() > deadline:
                return found
            time.sleep(0.5)

    def _containers(self) -> list[str]:
        return [stopped.container for stopped in self.stopped]


def _run(fleet: Fleet, short: bool) -> Report:
    stops = 3 if short else 10
    apart, first = (4.0, 2.0) if short else (6.0, 4.0)
    load = Load(rate=40 if short else 100, seconds=first + stops * apart, task_seconds=TASK_SECONDS)
    stopper = Stopper(fleet)
    moments = one_in_each(stops, apart=apart, first=first, share=0.5)
    events = [Event(at, f"stop {number}", stopper.stop) for number, at in enumerate(moments)]
    seen = observe(fleet, "scale-in", load, events, settle_seconds=60 if short else 120, short=short)
    return _report(seen, stopper, stops=stops)


def _report(seen: Observed, stopper: Stopper, *, stops: int) -> Report:
    ends = stopper.ends()
    codes = Counter(task["containers"][0].get("exitCode") for task in ends)
    asked = {stopped.container: stopped.at for stopped in stopper.stopped}
    longest, limit = max((_seconds_to_stop(task, asked) for task in ends), default=0.0), seen.limit(HARD)
    pids = frozenset[int]().union(*(stopped.pids for stopped in stopper.stopped))
    twice = ended_twice(seen.records)
    figures: dict[str, Figure] = common_figures(seen) | {
        "workers_stopped": len(stopper.stopped),
        "longest_stop_seconds": longest,
        "workers_killed": codes[KILLED],
        "tasks_interrupted": len(interrupted(seen.records, pids)),
        "tasks_ended_and_run_again": len(twice),
    }
    checks = [
        *common_checks(seen),
        Check(f"no task that ended ran again: {len(twice)} did", not twice),
        Check(f"{stops} workers were stopped: {len(stopper.stopped)}", len(stopper.stopped) == stops),
        Check(f"each left by itself, with 0: {_shown(codes)}", set(codes) == {0}),
        Check(f"none needed {limit:g} s, its stop timeout: {longest:.1f} s", longest < limit),
    ]
    return Report(name="scale-in", checks=checks, figures=figures)


def _id(task: Mapping[str, Any]) -> str:
    return str(task["taskArn"].rpartition("/")[2])


def _seconds_to_stop(task: Mapping[str, Any], asked: Mapping[str, float]) -> float:
    ended = task.get("stoppedAt")
    return float(ended.timestamp()) - asked[_id(task)] if ended else float(HARD)


def _shown(codes: Mapping[object, int]) -> str:
    return ", ".join(f"{count} with {code}" for code, count in codes.items())


def ended_twice(records: Sequence[Mapping[str, object]]) -> list[object]:
    """Ids of tasks that came to their end more than once."""
    ended = Counter(record.get("id") for record in records if record["event"] == "record")
    return [task for task, times in ended.items() if times > 1]


def interrupted(records: Sequence[Mapping[str, object]], pids: frozenset[int]) -> set[object]:
    """Ids of tasks that began in one of these processes and did not end in it."""
    begun = {(r["id"], r["pid"]) for r in records if r["event"] == "began" and r["pid"] in pids}
    ended = {(r.get("id"), r["pid"]) for r in records if r["event"] == "record"}
    return {task for task, _ in begun - ended}


SCALE_IN = Drill(
    "scale-in", "SIGTERM to busy workers, again and again: what runs ends, or runs elsewhere", _run
)
