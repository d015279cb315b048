"""`broker-kill`, `broker-hang`, `broker-blackhole`: Redis is away for 25 s, in three ways.

A few of the publishes start others (`drills.mixed`): what workers publish meanwhile must not be lost either.
"""

from __future__ import annotations

from collections.abc import Callable

from drills.chance import near
from drills.drill import (
    FAULT,
    RECOVERY,
    Drill,
    Event,
    common_checks,
    common_figures,
    observe,
)
from drills.fleet import Fleet
from drills.load import Load
from drills.publishing import as_fast_as_sqs, bounded, emptied, outage_figures, returned, woken
from drills.report import Report
from local.broker.faults import Fault


def _drill(name: str, what: str, fail: Callable[[Fleet], None]) -> Drill:
    def run(fleet: Fleet, short: bool) -> Report:
        load = Load(rate=40, seconds=20, mixed_every=19) if short else Load(seconds=70, mixed_every=49)
        began_at, away = (near(3.0, 0.5), 5.0) if short else (near(15.0, 2.5), 25.0)
        events = [
            Event(began_at, FAULT, lambda: fail(fleet)),
            Event(began_at + away, RECOVERY, fleet.heal),
        ]
        seen = observe(fleet, name, load, events, settle_seconds=60 if short else 180, short=short)
        checks = [
            *common_checks(seen),
            bounded(seen),
            as_fast_as_sqs(seen),
            woken(seen),
            returned(seen),
            emptied(seen),
        ]
        figures = common_figures(seen) | outage_figures(seen)
        return Report(name=name, checks=checks, figures=figures)

    return Drill(name, f"{what}: publishes go to SQS, and return", run)


# With its log on disk, as a process that is restarted; a node that ElastiCache replaces comes back empty.
# What is lost then, and what is not, `broker-failover` shows.
BROKER_KILL = _drill("broker-kill", "SIGKILL Redis, back after 25 s with its data", Fleet.kill_broker)
BROKER_HANG = _drill("broker-hang", "SIGSTOP Redis for 25 s", Fleet.hang_broker)
BROKER_BLACKHOLE = _drill(
    "broker-blackhole",
    "every packet to Redis is dropped for 25 s",
    lambda fleet: fleet.fault(Fault.BLACKHOLE),
)
