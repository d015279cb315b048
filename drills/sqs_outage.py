"""`fallback-down` and `both-down`: SQS fails, alone or while Redis is away as well."""

from __future__ import annotations

import time
from functools import partial

from drills.drill import (
    FAULT,
    RECOVERY,
    Drill,
    Event,
    Observed,
    at_its_rate,
    common_figures,
    nothing_lost,
    observe,
)
from drills.fleet import Fleet
from drills.load import Load
from drills.publishing import bounded
from drills.report import Check, Figure, Report
from drills.tally import tally
from local.broker.faults import Fault
from local.emulator.faults import DENY, ERROR, HANG

ALARM = "fallback-down"
ALARM_WITHIN_SECONDS = 90.0
REFUSED_WITHIN_SECONDS = 2.0


def _fallback_down(fleet: Fleet, short: bool) -> Report:
    load = Load(rate=40, seconds=12) if short else Load(rate=100, seconds=60)

    def wait_for_alarm(on: bool = True) -> None:
        end = time.monotonic() + ALARM_WITHIN_SECONDS
        while fleet.alarm_is_on(ALARM) is not on and time.monotonic() < end:
            time.sleep(1)

    wait_for_alarm(on=False)  # of a drill before
    events = [
        Event(3, "down", partial(fleet.sqs_fault, ERROR)),
        Event(3, "told", wait_for_alarm),
    ]
    seen = observe(fleet, "fallback-down", load, events, settle_seconds=60, short=short)
    told = seen.moments["told"] - seen.moments["down"]
    figures: dict[str, Figure] = {**common_figures(seen), "alarm_seconds": told}
    counted = tally(seen.publishes, seen.executions)
    noticed = counted.accepted_by_fallback + counted.refused
    # Where everything runs at once, Redis itself answers one or the other too late.
    allowed = len(seen.publishes) // 50 if short else 0
    checks = [
        nothing_lost(seen),
        at_its_rate(seen),
        bounded(seen),
        Check(f"Redis took every publish: {noticed} it did not", noticed <= allowed),
        Check(
            f"the alarm {ALARM} within {ALARM_WITHIN_SECONDS:g} s: {told:.1f} s", told < ALARM_WITHIN_SECONDS
        ),
    ]
    return Report(name="fallback-down", checks=checks, figures=figures)


def _both_down(fleet: Fleet, short: bool) -> Report:
    load = Load(rate=40, seconds=12) if short else Load(rate=100, seconds=70)
    down_at, mute_at, back_at = (3.0, 5.5, 8.0) if short else (15.0, 27.0, 40.0)

    def down() -> None:
        fleet.sqs_fault(DENY)  # which is certain: it has nothing
        fleet.fault(Fault.BLACKHOLE)

    events = [
        Event(down_at, FAULT, down),
        Event(mute_at, "mute", partial(fleet.sqs_fault, HANG)),  # it takes the message and says nothing
        Event(back_at, RECOVERY, fleet.heal),
    ]
    # SQS gives a message to a worker that no longer waits for it, and again after the visibility timeout.
    seen = observe(fleet, "both-down", load, events, settle_seconds=120 if short else 180, short=short)
    return _report(seen)


def _report(seen: Observed) -> Report:
    refused = [publish for publish in seen.publishes if publish.broker is None]
    ran = {execution.n for execution in seen.executions}
    certain = [publish.n for publish in refused if not publish.may_run]
    unsaid = [n for n in certain if n in ran]
    figures: dict[str, Figure] = {
        **common_figures(seen),
        "refused_for_certain": len(certain),
        "refused_saying_it_may_run": len(refused) - len(certain),
        "refused_and_executed": tally(seen.publishes, seen.executions).refused_but_executed,
        "refused_and_executed_unsaid": len(unsaid),
    }
    checks = [
        nothing_lost(seen),
        at_its_rate(seen),
        bounded(seen, REFUSED_WITHIN_SECONDS),
        Check(f"what nobody accepted raised PublishError: {len(refused)} calls", bool(refused)),
        Check(
            f"of {len(certain)} that were refused for certain none was executed: {len(unsaid)}"
            f"{f', for instance number {unsaid[0]}' if unsaid else ''}",
            bool(certain) and not unsaid,
        ),
    ]
    return Report(name="both-down", checks=checks, figures=figures)


FALLBACK_DOWN = Drill(
    "fallback-down", "SQS answers 503, Redis is fine: nobody notices, an alarm does", _fallback_down
)
BOTH_DOWN = Drill("both-down", "neither broker answers: PublishError, and nothing runs unsaid", _both_down)
