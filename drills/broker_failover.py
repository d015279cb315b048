"""`broker-failover`: the primary dies for good, its replica is promoted, and the endpoint moves to it.

The replica is cut off two seconds before, so that it lacks what the primary accepted last: on one machine it
would otherwise lack nothing, and every queue would look confirmed.
"""

from __future__ import annotations

from collections.abc import Sequence

from drills.drill import Drill, Event, Observed, all_accepted, common_figures, observe
from drills.fleet import Fleet
from drills.load import Load
from drills.publishing import bounded, outage_figures
from drills.report import Check, Figure, Report
from drills.tally import tally

CONFIRMED, PLAIN = "delivery", "high"  # of infra/environments.py, `local`


def _run(fleet: Fleet, short: bool) -> Report:
    load = Load(rate=40 if short else 100, seconds=12 if short else 70, queues=(CONFIRMED, PLAIN))
    cut_at, killed_at, moved_at = (2.0, 3.0, 7.0) if short else (13.0, 15.0, 35.0)

    def move() -> None:
        fleet.fail_over()
        fleet.heal()

    events = [
        Event(cut_at, "replica cut off", fleet.cut_replica),
        Event(killed_at, "killed", fleet.kill_broker),
        Event(moved_at, "moved", move),
    ]
    seen = observe(fleet, "broker-failover", load, events, settle_seconds=20 if short else 60, short=short)
    return _report(seen)


def _report(seen: Observed) -> Report:
    lost = {queue: lost_on(seen, queue) for queue in (CONFIRMED, PLAIN)}
    figures: dict[str, Figure] = {
        **common_figures(seen),
        **outage_figures(seen, began=seen.moments["replica cut off"], ended=seen.moments["moved"]),
        "lost_confirmed": len(lost[CONFIRMED]),
        "lost_not_confirmed": len(lost[PLAIN]),
    }
    some = f", for instance numbers {', '.join(map(str, lost[CONFIRMED][:5]))}" if lost[CONFIRMED] else ""
    checks = [
        Check(f"lost 0 on the confirmed queue: {len(lost[CONFIRMED])}{some}", not lost[CONFIRMED]),
        all_accepted(seen),
        bounded(seen),
    ]
    return Report(name="broker-failover", checks=checks, figures=figures)


def lost_on(seen: Observed, queue: str) -> Sequence[int]:
    """What was accepted for this queue and never executed."""
    return tally([publish for publish in seen.publishes if publish.queue == queue], seen.executions).lost


BROKER_FAILOVER = Drill(
    "broker-failover", "the primary is killed, its lagging replica promoted, the endpoint moved", _run
)
