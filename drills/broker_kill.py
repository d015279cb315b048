"""`broker-kill`: Redis is killed under load and comes back with its data."""

from __future__ import annotations

from taskfleet.contract.environment import FALLBACK

from drills.drill import Drill, Event, Observed, all_accepted, common_figures, nothing_lost, observe
from drills.fleet import Fleet
from drills.load import Load
from drills.report import Check, Figure, Report
from drills.tally import first_after, last_after, percentile

LONGEST_PUBLISH_SECONDS = 1.0
MOST_TIMES_SQS = 3.0


def _run(fleet: Fleet, short: bool) -> Report:
    load = Load(rate=40, seconds=20) if short else Load(rate=100, seconds=70)
    killed_at, back_at = (5.0, 13.0) if short else (15.0, 40.0)
    events = [
        Event(killed_at, "killed", fleet.kill_broker),
        Event(back_at, "back", fleet.heal),
    ]
    seen = observe(fleet, "broker-kill", load, events, settle_seconds=60 if short else 180)
    return Report(name="broker-kill", checks=_checks(seen), figures=_figures(seen))


def _figures(seen: Observed) -> dict[str, Figure]:
    killed, back = seen.moments["killed"], seen.moments["back"]
    return common_figures(seen) | {
        "from the fault to the first execution from SQS, seconds": first_after(
            seen.executions, killed, FALLBACK
        ),
        "from the recovery to the last execution from SQS, seconds": last_after(
            seen.executions, back, FALLBACK
        ),
        "99 % of publishes to SQS within, seconds": _sqs_99(seen),
        "99 % of publishes while the breaker was open within, seconds": _open_99(seen),
    }


def _checks(seen: Observed) -> list[Check]:
    longest = max((publish.seconds for publish in seen.publishes), default=0.0)
    open_99, sqs_99 = _open_99(seen), _sqs_99(seen)
    bounded = open_99 is not None and sqs_99 is not None and open_99 <= MOST_TIMES_SQS * sqs_99
    return [
        nothing_lost(seen),
        all_accepted(seen),
        Check(
            f"no publish over {LONGEST_PUBLISH_SECONDS:g} s: the longest took {longest:.3f} s",
            longest <= LONGEST_PUBLISH_SECONDS,
        ),
        Check(f"with the breaker open, 99 % of publishes within {MOST_TIMES_SQS:g} times SQS's own", bounded),
    ]


def _sqs_99(seen: Observed) -> float | None:
    """Of every publish that SQS accepted, those that waited for Redis first included."""
    return percentile([p.seconds for p in seen.publishes if p.broker == FALLBACK], 99)


def _open_99(seen: Observed) -> float | None:
    """From a second after the kill, when every producer's breaker is open, until Redis is back."""
    opened, back = seen.moments["killed"] + 1, seen.moments["back"]
    return percentile([p.seconds for p in seen.publishes if opened <= p.at < back], 99)


BROKER_KILL = Drill(
    "broker-kill", "SIGKILL Redis at 15 s, back at 40 s with its data: publishes go to SQS", _run
)
