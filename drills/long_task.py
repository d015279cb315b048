"""`long-task`: tasks that run, and countdowns that wait, for longer than any clock that gives messages away.

Which clocks there are: kombu's own Redis transport gives a message to somebody else when the visibility
timeout (90 s in the local environment) has passed since it was fetched, whatever its worker does.
Ours does when its worker has been silent for a lease (`taskfleet.brokers.redis.commands.Lease`, 13 s). The
full form outlasts the visibility timeout three and four times, and with it the lease twenty times; it takes
six minutes. The short form outlasts the lease three and four times. The tasks' own time limits, which end a
task of the pool after 30 s, are raised for these messages alone.

A worker that is fetching, acknowledging and sweeping all the while is what would give them away, so a load
of quick tasks goes through the same workers.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from taskfleet.brokers.redis.commands import Lease

from drills.drill import (
    LINGER_SECONDS,
    Drill,
    Observed,
    common_checks,
    common_figures,
    observe,
)
from drills.fleet import Fleet
from drills.load import Load, Running
from drills.report import Check, Figure, Report
from drills.roles import ROLES
from drills.tally import Tally, longest_wait, tally
from drills.worker_kill import POOLS
from local.broker.faults import Fault

TIMES_RUNNING, TIMES_WAITING = 3, 4


@dataclass(frozen=True, kw_only=True)
class Slow:
    """Slow tasks of one kind: what they are, and what became of them. ``copies`` began beside the first."""

    kind: str
    due_seconds: float
    tally: Tally
    copies: int
    latest_seconds: float | None


def _run(fleet: Fleet, short: bool) -> Report:
    timeouts = [pool.limits.visibility_timeout_seconds for pool in ROLES.busy]
    clock = Lease().seconds if short else float(max(timeouts))
    runs, waits = TIMES_RUNNING * clock, TIMES_WAITING * clock
    limits = {"soft_time_limit": runs + 60, "time_limit": runs + 90}
    # Two: as many slots are left for the quick ones, which go through the same workers.
    running = Load(rate=2, seconds=1, task_seconds=runs, options=limits)
    loads = {"running": running, "waiting": Load(rate=20, seconds=1, options={"countdown": waits})}
    with ExitStack() as started:
        # What scaling takes away is the drill scale-in's matter.
        started.enter_context(fleet.protected(*POOLS))
        slow = {kind: started.enter_context(_started(fleet, load)) for kind, load in loads.items()}
        if not short:
            slow["running_from_sqs"] = started.enter_context(_started_on_sqs(fleet, running))
        quick = Load(rate=40 if short else 100, seconds=15 if short else 60)
        seen = observe(fleet, "long-task", quick, [], settle_seconds=60, short=short)
        deadline = time.monotonic() + waits
        for load in slow.values():
            load.wait_for_executions(max(0.0, deadline - time.monotonic()) + 30)
        time.sleep(LINGER_SECONDS)
        due = {kind: waits if kind == "waiting" else runs for kind in slow}
        return _report(seen, [_slow(kind, load, due[kind]) for kind, load in slow.items()], clock)


@contextmanager
def _started(fleet: Fleet, load: Load) -> Iterator[Running]:
    running = Running(
        load,
        run=f"long-task-{uuid.uuid4().hex[:8]}",
        directory=fleet.places.root / "drills",
        journal=fleet.places.journal,
        environment=fleet.environment,
    )
    try:
        running.wait_for_producers()
        yield running
    finally:
        running.stop()


@contextmanager
def _started_on_sqs(fleet: Fleet, load: Load) -> Iterator[Running]:
    """Published with Redis away: the fallback's workers run them, and go on when it is back."""
    fleet.fault(Fault.REFUSE)
    try:
        with _started(fleet, load) as running:
            fleet.heal()
            yield running
    finally:
        fleet.heal()


def _slow(kind: str, running: Running, due_seconds: float) -> Slow:
    executions = running.executions()
    ids = {r["id"] for r in running.records() if r["event"] == "record" and r["run"] == running.run}
    begun = Counter(r["id"] for r in running.records() if r["event"] == "began")
    return Slow(
        kind=kind,
        due_seconds=due_seconds,
        tally=tally(running.publishes(), executions),
        copies=sum(begun[task] - 1 for task in ids),
        latest_seconds=longest_wait(running.publishes(), executions),
    )


def _report(seen: Observed, slow: Sequence[Slow], clock: float) -> Report:
    figures: dict[str, Figure] = common_figures(seen) | {"clock_seconds": clock}
    checks = common_checks(seen)
    for kind in slow:
        figures |= {
            f"{kind.kind}_submitted": kind.tally.submitted,
            f"{kind.kind}_executed": kind.tally.executed,
            f"{kind.kind}_copies": kind.copies,
            f"{kind.kind}_due_seconds": kind.due_seconds,
            f"{kind.kind}_latest_end_seconds": kind.latest_seconds,
        }
        checks.append(_exactly_once(kind))
    return Report(name="long-task", checks=checks, figures=figures)


def _exactly_once(slow: Slow) -> Check:
    counted = slow.tally
    what = f"{slow.kind.replace('_', ' ')} for {slow.due_seconds:g} s"
    text = f"{what}, exactly once: {counted.executed} of {counted.accepted}, {slow.copies} copies"
    exactly = counted.executed == counted.accepted == counted.submitted > 0
    return Check(text, exactly and not counted.duplicates and not slow.copies)


LONG_TASK = Drill("long-task", "tasks of 3 times the visibility timeout, countdowns of 4 times", _run)
