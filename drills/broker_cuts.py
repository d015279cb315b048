"""`broker-halfopen` and `broker-flap`: connections to Redis break, and Redis itself is well."""

from __future__ import annotations

from collections.abc import Mapping

from taskfleet.contract.environment import PRIMARY
from taskfleet.publishing.breaker import Breaker

from drills.chance import near, one_in_each
from drills.drill import (
    FAULT,
    RECOVERY,
    Drill,
    Event,
    Observed,
    common_checks,
    common_figures,
    observe,
)
from drills.fleet import Fleet, Worker
from drills.load import PRODUCERS, Load
from drills.publishing import LAST_SECONDS, bounded, emptied, outage_figures, returned
from drills.report import Check, Figure, Report
from drills.worker_kill import POOLS
from local.broker.faults import Fault

CONSUMING_WITHIN_SECONDS = 30.0
CUTS = 10
# A broker that flapped must answer so many probes in a row, about a second apart, before it is used again.
PROBES_SECONDS = 2.0 * Breaker.MOST_PROBES


def _half_open(fleet: Fleet, short: bool) -> Report:
    load = Load(rate=40, seconds=30, mixed_every=19) if short else Load(seconds=60, mixed_every=49)
    began_at = near(3.0, 0.5) if short else near(15.0, 2.5)
    alive: dict[Worker, frozenset[int]] = {}

    def vanish() -> None:
        alive.update(_processes(fleet))
        fleet.fault(Fault.HALF_OPEN)

    # Redis itself is never away: new connections are served at once.
    events = [Event(began_at, FAULT, vanish), Event(began_at, RECOVERY, lambda: None)]
    seen = observe(fleet, "broker-halfopen", load, events, settle_seconds=60 if short else 120, short=short)
    now = _processes(fleet)
    stayed = {worker.name: pids | now[worker] for worker, pids in alive.items() if worker in now}
    return _half_open_report(seen, stayed, replaced=len(alive) - len(stayed))


def _processes(fleet: Fleet) -> dict[Worker, frozenset[int]]:
    return {worker: worker.pids() for worker in fleet.workers(*POOLS)}


def _half_open_report(seen: Observed, stayed: Mapping[str, frozenset[int]], *, replaced: int) -> Report:
    again = consuming_again(seen, stayed)
    figures: dict[str, Figure] = {
        **common_figures(seen),
        **outage_figures(seen),
        "workers_replaced": replaced,
        "consuming_again_seconds": max(
            (value for value in again.values() if value is not None), default=None
        ),
    }
    limit = seen.limit(CONSUMING_WITHIN_SECONDS)
    said = ", ".join(f"{name} {_seconds(value)}" for name, value in again.items())
    checks = [
        *common_checks(seen),
        bounded(seen),
        Check(
            f"each worker that was there consumes again within {limit:g} s: {said}; {replaced} were replaced",
            bool(again or replaced) and all(value is not None and value <= limit for value in again.values()),
        ),
    ]
    return Report(name="broker-halfopen", checks=checks, figures=figures)


def consuming_again(seen: Observed, workers: Mapping[str, frozenset[int]]) -> Mapping[str, float | None]:
    """For each worker, given by its processes: seconds from the fault until one of them executed something
    that Redis accepted since. What a queue as a whole does would hide one that is deaf.
    """
    moment = seen.moments[FAULT]
    since = {p.n for p in seen.publishes if p.at >= moment and p.broker == PRIMARY}
    ran = [e for e in seen.executions if e.n in since and e.broker == PRIMARY]
    return {
        name: min((e.at - moment for e in ran if e.pid in pids), default=None)
        for name, pids in workers.items()
    }


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"


def _flap(fleet: Fleet, short: bool) -> Report:
    cuts, apart, away, first = (4, 2.5, 1.0, 2.0) if short else (CUTS, 6.0, 1.5, 4.0)
    seconds = first + cuts * apart + PROBES_SECONDS + LAST_SECONDS
    load = Load(rate=40 if short else 100, seconds=seconds, mixed_every=19 if short else 49)
    begins = one_in_each(cuts, apart=apart, first=first, share=0.25)
    events = [
        event
        for number, at in enumerate(begins)
        for event in (
            Event(at, f"cut {number}" if number else FAULT, fleet.cut_broker),
            Event(at + away, f"back {number}" if number < cuts - 1 else RECOVERY, fleet.heal),
        )
    ]
    seen = observe(fleet, "broker-flap", load, events, settle_seconds=60 if short else 180, short=short)
    openings = openings_of_each(seen)
    figures: dict[str, Figure] = {
        **common_figures(seen),
        **outage_figures(seen),
        "cuts": cuts,
        "away_seconds_each": away,
        "most_openings_of_one_producer": max(openings),
    }
    checks = [
        *common_checks(seen),
        bounded(seen),
        Check(
            f"no producer's breaker opened more often than it was cut off ({cuts} times): "
            f"{' and '.join(map(str, openings))} times",
            max(openings) <= cuts,
        ),
        returned(seen),
        emptied(seen),
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
