"""`broker-demoted`: a failover on purpose. The primary lives on as a replica, with its connections.

It answers a PING as before and refuses each write; only new connections lead to the new primary.
"""

from __future__ import annotations

from drills.chance import near
from drills.drill import FAULT, RECOVERY, Drill, Event, common_checks, common_figures, observe
from drills.fleet import Fleet
from drills.load import Load
from drills.publishing import bounded, emptied, outage_figures, returned
from drills.report import Report
from drills.roles import ROLES

QUEUES = ROLES.queues  # confirmed ones, where the environment has any: they may lose nothing


def _run(fleet: Fleet, short: bool) -> Report:
    load = Load(rate=40, seconds=20, queues=QUEUES) if short else Load(seconds=60, queues=QUEUES)
    at = near(3.0, 0.5) if short else near(15.0, 2.5)
    events = [Event(at, FAULT, fleet.fail_over), Event(at, RECOVERY, lambda: None)]
    seen = observe(fleet, "broker-demoted", load, events, settle_seconds=60 if short else 120, short=short)
    return Report(
        name="broker-demoted",
        checks=[*common_checks(seen), bounded(seen), returned(seen), emptied(seen)],
        figures=common_figures(seen) | outage_figures(seen),
    )


BROKER_DEMOTED = Drill(
    "broker-demoted", "a failover on purpose: the old primary lives on as a replica, and answers", _run
)
