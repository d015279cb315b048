"""`broker-halfopen` and `broker-flap`: connections to Redis break, and Redis itself is well."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from taskfleet.contract.environment import PRIMARY

from drills.chance import near, one_in_each
from drills.drill import Drill, Event, Observed, all_accepted, common_figures, nothing_lost, observe
from drills.fleet import Fleet
from drills.load import PRODUCERS, Load
from drills.publishing import bounded, outage_figures
from drills.report import Check, Figure, Report
from local.broker.faults import Fault

CONSUMING_WITHIN_SECONDS = 30.0
CUTS = 10


def _half_open(fleet: Fleet, short: bool) -> Report:
    load = Load(rate=40, seconds=12) if short else Load(rate=100, seconds=60)
    began_at = near(3.0, 0.5) if short else near(15.0, 2.5)
    events = [Event(began_at, "vanished", partial(fleet.fault, Fault.HALF_OPEN))]
    seen = observe(fleet, "broker-halfopen", load, events, settle_seconds=60 if short else 120, short=short)
    began = seen.moments["vanished"]
    again = consuming_again(seen, began)
    longest = max((seconds for seconds in again.values() if seconds is not None), default=None)
    figures: dict[str, Figure] = {
        **common_figures(seen),
        **outage_figures(seen, began=began, ended=began),
        "consuming_again_seconds": longest,
    }
    limit = seen.limit(CONSUMING_WITHIN_SECONDS)
    said = ", ".join(f"{queue} {_seconds(value)}" for queue, value in again.items())
    checks = [
        nothing_lost(seen),
        all_accepted(seen),
        bounded(seen),
        Check(
            f"consuming again within {limit:g} s: {said}",
            all(value is not None and value <= limit for value in again.values()),
        ),
    ]
    return Report(name="broker-halfopen", checks=checks, figures=figures)


def consuming_again(seen: Observed, moment: float) -> Mapping[str, float | None]:
    """For each queue: seconds until something ran from Redis that Redis accepted after ``moment``."""
    first: dict[str, float | None] = {publish.queue: None for publish in seen.publishes}
    queue_of = {p.n: p.queue for p in seen.publishes if p.at >= moment and p.broker == PRIMARY}
    for execution in sorted(seen.executions, key=lambda execution: execution.at):
        queue = queue_of.get(execution.n)
        if queue is not None and execution.broker == PRIMARY and first[queue] is None:
            first[queue] = execution.at - moment
    return first


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"


def _flap(fleet: Fleet, short: bool) -> Report:
    cuts, apart, away, first = (4, 2.5, 1.0, 2.0) if short else (CUTS, 6.0, 1.5, 4.0)
    load = Load(rate=40 if short else 100, seconds=first + cuts * apart)
    begins = one_in_each(cuts, apart=apart, first=first, share=0.25)
    events = [
        event
        for number, at in enumerate(begins)
        for event in (
            Event(at, f"cut {number}", fleet.cut_broker),
            Event(at + away, f"back {number}", fleet.heal),
        )
    ]
    seen = observe(fleet, "broker-flap", load, events, settle_seconds=60 if short else 180, short=short)
    began, ended = seen.moments["cut 0"], seen.moments[f"back {cuts - 1}"]
    openings = openings_of_each(seen)
    figures: dict[str, Figure] = {
        **common_figures(seen),
        **outage_figures(seen, began=began, ended=ended),
        "cuts": cuts,
        "away_seconds_each": away,
        "most_openings_of_one_producer": max(openings),
    }
    checks = [
        nothing_lost(seen),
        all_accepted(seen),
        bounded(seen),
        Check(
            f"no producer's breaker opened more often than it was cut off ({cuts} times): "
            f"{' and '.join(map(str, openings))} times",
            max(openings) <= cuts,
        ),
    ]
    return Report(name="broker-flap", checks=checks, figures=figures)


def openings_of_each(seen: Observed) -> list[int]:
    """How often the breaker of each producer process opened."""
    return [sum(p.opened for p in seen.publishes if p.n % PRODUCERS == one) for one in range(PRODUCERS)]


BROKER_HALFOPEN = Drill(
    "broker-halfopen",
    "the peers of all connections to Redis vanish without RST; new ones are fine",
    _half_open,
)
BROKER_FLAP = Drill(
    "broker-flap", "Redis is cut off ten times in a minute, for 1.5 s each: the breaker doesn't thrash", _flap
)
