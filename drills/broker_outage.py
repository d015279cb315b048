"""`broker-kill`, `broker-hang`, `broker-blackhole`: Redis is away for 25 s, in three ways."""

from __future__ import annotations

from collections.abc import Callable

from drills.chance import near
from drills.drill import Drill, Event, all_accepted, common_figures, nothing_lost, observe
from drills.fleet import Fleet
from drills.load import Load
from drills.publishing import as_fast_as_sqs, bounded, outage_figures
from drills.report import Report
from local.broker.faults import Fault


def _drill(name: str, what: str, fail: Callable[[Fleet], None]) -> Drill:
    def run(fleet: Fleet, short: bool) -> Report:
        load = Load(rate=40, seconds=12) if short else Load(rate=100, seconds=70)
        began_at, away = (near(3.0, 0.5), 5.0) if short else (near(15.0, 2.5), 25.0)
        events = [
            Event(began_at, "away", lambda: fail(fleet)),
            Event(began_at + away, "back", fleet.heal),
        ]
        seen = observe(fleet, name, load, events, settle_seconds=60 if short else 180, short=short)
        began, ended = seen.moments["away"], seen.moments["back"]
        checks = [
            nothing_lost(seen),
            all_accepted(seen),
            bounded(seen),
            as_fast_as_sqs(seen, began=began, ended=ended),
        ]
        figures = common_figures(seen) | outage_figures(seen, began=began, ended=ended)
        return Report(name=name, checks=checks, figures=figures)

    return Drill(name, f"{what}: publishes go to SQS, and return", run)


BROKER_KILL = _drill("broker-kill", "SIGKILL Redis, back after 25 s with its data", Fleet.kill_broker)
BROKER_HANG = _drill("broker-hang", "SIGSTOP Redis for 25 s", Fleet.hang_broker)
BROKER_BLACKHOLE = _drill(
    "broker-blackhole",
    "every packet to Redis is dropped for 25 s",
    lambda fleet: fleet.fault(Fault.BLACKHOLE),
)
