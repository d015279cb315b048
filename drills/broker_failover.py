"""`broker-failover`: the primary dies for good, its replica is promoted, and the endpoint moves to it.

Two seconds before, the replica is cut off, so that it lacks what the primary accepts last, and workers hang
from before that until the primary is dead, so that this is still waiting: on one machine the replica would
otherwise lack nothing, nothing would wait, and every queue would look confirmed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from drills.drill import (
    FAULT,
    RECOVERY,
    Drill,
    Event,
    Observed,
    all_accepted,
    at_its_rate,
    common_figures,
    observe,
)
from drills.fleet import Fleet
from drills.load import Load
from drills.publishing import bounded, emptied, outage_figures, returned
from drills.report import Check, Figure, Report
from drills.roles import ROLES
from drills.tally import tally

CONFIRMED, PLAIN = ROLES.confirmed or "", ROLES.plain or ""
POOLS = tuple(pool.name for pool in ROLES.owners)  # which consume them


def _run(fleet: Fleet, short: bool) -> Report:
    if not (CONFIRMED and PLAIN):
        sys.exit(
            "broker-failover compares a queue whose publishes are confirmed with one whose are not, and the "
            "local environment lacks one: Broker(nodes=2), and Pool(confirmed=(…)) with some of its queues"
        )
    load = Load(rate=40 if short else 100, seconds=20 if short else 70, queues=(CONFIRMED, PLAIN))
    hung_at, cut_at, killed_at, moved_at = (1.0, 2.0, 4.0, 8.0) if short else (12.0, 13.0, 15.0, 35.0)

    def kill() -> None:
        fleet.kill_broker()
        fleet.go_on()

    def move() -> None:
        fleet.fail_over()
        fleet.heal()

    events = [
        Event(hung_at, "workers hang", partial(fleet.hang_workers, *POOLS)),
        Event(cut_at, "replica cut off", fleet.cut_replica),
        Event(killed_at, FAULT, kill),
        Event(moved_at, RECOVERY, move),
    ]
    seen = observe(fleet, "broker-failover", load, events, settle_seconds=40 if short else 60, short=short)
    return _report(seen)


def _report(seen: Observed) -> Report:
    lost = {queue: lost_on(seen, queue) for queue in (CONFIRMED, PLAIN)}
    figures: dict[str, Figure] = {
        **common_figures(seen),
        **outage_figures(seen),
        "lost": len(lost[CONFIRMED]),  # of what is promised; the other queue lags on purpose
        "lost_not_confirmed": len(lost[PLAIN]),
    }
    some = f", for instance numbers {', '.join(map(str, lost[CONFIRMED][:5]))}" if lost[CONFIRMED] else ""
    checks = [
        Check(f"lost 0 on the confirmed queue: {len(lost[CONFIRMED])}{some}", not lost[CONFIRMED]),
        Check(
            f"on the other the replica lagged, or this proves nothing: lost {len(lost[PLAIN])}",
            bool(lost[PLAIN]),
        ),
        all_accepted(seen),
        at_its_rate(seen),
        bounded(seen),
        returned(seen),
        emptied(seen),
    ]
    return Report(name="broker-failover", checks=checks, figures=figures)


def lost_on(seen: Observed, queue: str) -> Sequence[int]:
    """What was accepted for this queue and never executed."""
    return tally([publish for publish in seen.publishes if publish.queue == queue], seen.executions).lost


BROKER_FAILOVER = Drill(
    "broker-failover", "the primary is killed, its lagging replica promoted, the endpoint moved", _run
)
