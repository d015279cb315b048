"""What a drill is: a fault on purpose, under load, and what must hold."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from taskfleet.contract.environment import FALLBACK

from drills.fleet import Fleet
from drills.load import Load, Running
from drills.looking import Looking, Sample, empty_after
from drills.report import Check, Figure, Report
from drills.tally import Execution, Publish, first_after, longest_wait, percentile, tally

# The events' names that tell when Redis failed for the first time, and when it was back for good.
FAULT, RECOVERY = "fault", "recovery"
# A load that was lighter than it should be proves less.
LEAST_OF_RATE = 0.9
# A redelivered task can be executed again after everything is done: duplicates are counted until then.
LINGER_SECONDS = 3.0
# The short forms run among the other tests on a machine that is fully busy: what takes time may take longer.
SHORT_FORM_TAKES = 3.0


@dataclass(frozen=True)
class Drill:
    """``fault`` is one line for the list; ``run`` gets the fleet and whether the short form is wanted.

    ``in_tests``: the short form runs among the tests.
    """

    name: str
    fault: str
    run: Callable[[Fleet, bool], Report]
    in_tests: bool = True


@dataclass(frozen=True)
class Event:
    """``action`` happens ``at`` seconds after the load began, and its moment is kept under ``name``."""

    at: float
    name: str
    action: Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Everything that a drill saw.

    ``moments`` are the events' times, in seconds since the epoch; ``looks`` at SQS begin when Redis is back.
    """

    load: Load
    publishes: Sequence[Publish]
    executions: Sequence[Execution]
    records: Sequence[Mapping[str, object]]
    parked: int
    moments: Mapping[str, float] = field(default_factory=dict)
    looks: Sequence[Sample] = ()
    short: bool = False

    def limit(self, promised: float) -> float:
        """What was promised (seconds, or a ratio of them); more in the short form."""
        return promised * (SHORT_FORM_TAKES if self.short else 1.0)


def observe(
    fleet: Fleet,
    name: str,
    load: Load,
    events: Sequence[Event],
    *,
    settle_seconds: float,
    short: bool = False,
) -> Observed:
    """Run the load and the events, wait until everything accepted is executed, and collect what happened.

    After an outage of Redis (an event `RECOVERY`), wait until SQS is empty as well. Its workers go to sleep
    minutes later, by an alarm: no drill waits for that, tests/fleet/test_outage.py does.
    """
    parked = fleet.parked()
    running = Running(
        load,
        run=f"{name}-{uuid.uuid4().hex[:8]}",
        directory=fleet.places.root / "drills",
        journal=fleet.places.journal,
        environment=fleet.environment,
    )
    try:
        moments = _carry_out(events, running.started_at)
        with Looking(fleet, load.queues if RECOVERY in moments else ()) as looking:
            running.wait_for_producers()
            running.wait_for_executions(settle_seconds)
            looking.wait_until_empty(settle_seconds)
            time.sleep(LINGER_SECONDS)
    finally:
        running.stop()
        fleet.heal()
    return Observed(
        load=load,
        publishes=running.publishes(),
        executions=running.executions(),
        records=running.records(),
        parked=fleet.parked() - parked,
        moments=moments,
        looks=looking.looks,
        short=short,
    )


def _carry_out(events: Sequence[Event], started_at: float) -> dict[str, float]:
    moments = {}
    for event in sorted(events, key=lambda event: event.at):
        time.sleep(max(0.0, started_at + event.at - time.time()))
        event.action()
        moments[event.name] = time.time()
    return moments


def common_figures(seen: Observed) -> dict[str, Figure]:
    """What every drill prints first; the times of an outage are None where Redis was there all the time."""
    counted = tally(seen.publishes, seen.executions)
    fault, recovery = seen.moments.get(FAULT), seen.moments.get(RECOVERY)
    first = None if fault is None else first_after(seen.executions, fault, FALLBACK)
    empty = None if recovery is None else empty_after(seen.looks, recovery)
    seconds = [publish.seconds for publish in seen.publishes]
    return {
        "submitted": counted.submitted,
        "accepted_by_redis": counted.accepted_by_primary,
        "accepted_by_sqs": counted.accepted_by_fallback,
        "refused": counted.refused,
        "executed": counted.executed,
        "duplicates": counted.duplicates,
        "lost": len(counted.lost),
        "parked": seen.parked,
        "longest_publish_seconds": max(seconds, default=None),
        "p99_publish_seconds": percentile(seconds, 99),
        "first_fallback_execution_seconds": first,
        "fallback_empty_seconds": empty,
        "longest_wait_seconds": longest_wait(seen.publishes, seen.executions),
    }


def common_checks(seen: Observed) -> list[Check]:
    """What must hold in every drill in which one of the two brokers is there all the time."""
    return [nothing_lost(seen), all_accepted(seen), at_its_rate(seen)]


def nothing_lost(seen: Observed) -> Check:
    """The first thing that must hold."""
    counted = tally(seen.publishes, seen.executions)
    some = f", for instance numbers {', '.join(map(str, counted.lost[:5]))}" if counted.lost else ""
    return Check(f"lost 0: {len(counted.lost)}{some}", not counted.lost)


def all_accepted(seen: Observed) -> Check:
    """One of the two brokers was there all the time."""
    refused = tally(seen.publishes, seen.executions).refused
    return Check(f"every publish was accepted: {refused} were not", refused == 0)


def at_its_rate(seen: Observed) -> Check:
    """The load was published when it should be, and not just in the end."""
    planned, seconds = seen.load.rate * seen.load.seconds, seen.load.seconds
    began = min((publish.at for publish in seen.publishes), default=0.0)
    # What tasks start themselves has the numbers from there on.
    in_time = sum(publish.n < planned and publish.at < began + seconds for publish in seen.publishes)
    least = LEAST_OF_RATE / seen.limit(1)
    text = f"at least {least:.0%} of {planned:.0f} publishes in {seconds:g} s: {in_time}"
    return Check(text, in_time >= least * planned)
