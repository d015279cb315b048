"""`unattended`: Redis dies while the controller is gone: SQS's own metrics start workers, and page."""

from __future__ import annotations

import time
from functools import partial

from taskfleet.contract import alarm_catalogue, names

from drills.drill import FAULT, RECOVERY, Drill, Event, common_checks, common_figures, observe
from drills.fleet import Fleet
from drills.load import Load
from drills.publishing import emptied
from drills.report import Check, Report
from local.broker.faults import Fault

ALARMS = ("controller-silent", "fallback-unattended")
# SQS's metrics come once a minute, three of them make the alarm, and so does the next minute's worker.
SETTLE_SECONDS = 420
SILENT_SECONDS = (alarm_catalogue.SILENT_MINUTES + 2) * 60


def _run(fleet: Fleet, short: bool) -> Report:
    load = Load(rate=4, seconds=20)
    events = [
        Event(3, FAULT, partial(fleet.fault, Fault.REFUSE)),
        Event(20, RECOVERY, partial(fleet.fault, Fault.PASS)),
    ]
    fleet.scale(names.CONTROLLER_SERVICE, 0)
    try:
        seen = observe(fleet, "unattended", load, events, settle_seconds=SETTLE_SECONDS, short=short)
        on = _rang(fleet, since=seen.moments[FAULT])
    finally:
        fleet.scale(names.CONTROLLER_SERVICE, 1)
    rang = Check(
        f"the alarms {', '.join(ALARMS)} went off: {', '.join(on) or 'none'}", len(on) == len(ALARMS)
    )
    checks = [*common_checks(seen), emptied(seen), rang]
    return Report(name="unattended", checks=checks, figures=common_figures(seen))


def _rang(fleet: Fleet, *, since: float) -> list[str]:
    """Those that went off; silence rings after minutes, when all may have been run already."""
    until = time.monotonic() + SILENT_SECONDS
    while len(on := [kind for kind in ALARMS if fleet.rang(kind, since=since)]) < len(ALARMS):
        if time.monotonic() > until:
            break
        time.sleep(5)
    return on


UNATTENDED = Drill(
    "unattended",
    "Redis refuses while the controller is gone: SQS is consumed, and somebody is paged, without either",
    _run,
    in_tests=False,  # five minutes
)
