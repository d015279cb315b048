"""`outage`: Redis dies, or hangs, for ten seconds under load.

What do plain Celery, Celery with a failover list of Redis and SQS, and ours?
Plain Celery is started as its documentation does, with a worker that is started again when it exits; ours is
the deployed fleet. A call that has not returned, and a task that has not run, a minute after Redis is back
count as they are then: such figures are shown as "> 60".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks import outage_apps, outage_plain, scratch
from benchmarks.outage_result import Call, Outage, Result
from drills.drill import Event, observe
from drills.fleet import Fleet
from drills.load import Load
from drills.report import Check, Figure, Report
from local.places import REPOSITORY

RATE, SECONDS = 40.0, 25.0
GONE_AT, BACK_AT = 5.0, 15.0
CAP_SECONDS = 60.0
LONGEST_PUBLISH_SECONDS = 1.0
OURS = "taskfleet"
TABLE = REPOSITORY / "build" / "bench" / "outage.md"
_NAMES = {"plain": "Celery", "failover": "Celery, `broker_url=[redis, sqs]`", OURS: "Taskfleet"}
_COLUMNS = ("", "fault", "accepted", "errors", "not sent", "lost", "run twice", "longest publish", "recovery")


def run(fleet: Fleet) -> Report:
    """Each fault with each of the three. Six minutes."""
    results: dict[tuple[str, str], Result] = {}
    for fault, events in (("broker-kill", _kill), ("broker-hang", _hang)):
        for kind in outage_apps.KINDS:
            results[kind, fault] = _plain(fleet, kind, events(fleet))
        results[OURS, fault] = _ours(fleet, fault, events(fleet))
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(table(results))
    return report(results)


def _kill(fleet: Fleet) -> list[Event]:
    return [Event(GONE_AT, "gone", fleet.kill_broker), Event(BACK_AT, "back", fleet.heal)]


def _hang(fleet: Fleet) -> list[Event]:
    return [Event(GONE_AT, "gone", fleet.hang_broker), Event(BACK_AT, "back", fleet.heal)]


def _plain(fleet: Fleet, kind: str, events: list[Event]) -> Result:
    with scratch.environment(fleet) as variables, scratch.database(variables) as variables:
        try:
            return outage_plain.run(kind, variables, events, rate=RATE, seconds=SECONDS, cap=CAP_SECONDS)
        finally:
            fleet.heal()
            scratch.remove_sqs_queues(fleet, outage_apps.queue(kind))


def _ours(fleet: Fleet, fault: str, events: list[Event]) -> Result:
    load = Load(rate=RATE, seconds=SECONDS)
    seen = observe(fleet, f"outage-{fault}", load, events, settle_seconds=CAP_SECONDS)
    ended = max((execution.at for execution in seen.executions), default=seen.moments["back"])
    outage = Outage(began=seen.moments["gone"], ended=seen.moments["back"], watched_until=ended)
    calls = [Call(n=p.n, at=p.at, seconds=p.seconds, error=p.error) for p in seen.publishes]
    executions = [(execution.n, execution.at) for execution in seen.executions]
    return Result(outage, calls, executions, round(RATE * SECONDS), 0)


def report(results: Mapping[tuple[str, str], Result]) -> Report:
    """Figures of all; ours must lose nothing and hold nobody up."""
    figures: dict[str, Figure] = {}
    checks = []
    for (kind, fault), result in results.items():
        longest, returned = result.longest_publish
        recovery, recovered = result.recovery
        name = fault.replace("-", "_")
        figures |= {
            f"{kind}_{name}_accepted": result.accepted,
            f"{kind}_{name}_refused": result.refused,
            f"{kind}_{name}_not_sent": result.not_sent,
            f"{kind}_{name}_lost": result.lost,
            f"{kind}_{name}_duplicates": result.duplicates,
            f"{kind}_{name}_longest_publish_seconds": longest if returned else None,
            f"{kind}_{name}_recovery_seconds": recovery if recovered else None,
        }
        if kind == OURS:
            checks += [
                Check(f"{fault}: lost 0: {result.lost}", result.lost == 0),
                Check(f"{fault}: every publish was accepted: {result.refused} were not", result.refused == 0),
                Check(
                    f"{fault}: no publish over {LONGEST_PUBLISH_SECONDS:g} s: {longest:.2f} s",
                    longest <= LONGEST_PUBLISH_SECONDS,
                ),
            ]
    return Report(name="outage", checks=checks, figures=figures)


def table(results: Mapping[tuple[str, str], Result]) -> str:
    """The same in Markdown, for the documentation (`docs/measured.md`)."""
    rows: list[tuple[Any, ...]] = [_COLUMNS, ("---",) * len(_COLUMNS)]
    for (kind, fault), result in results.items():
        longest, recovery = shown(*result.longest_publish), shown(*result.recovery)
        counts = (result.accepted, result.refused, result.not_sent, result.lost, result.duplicates)
        rows.append((_NAMES[kind], fault, *counts, f"{longest} s", f"{recovery} s"))
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


def shown(seconds: float, ended: bool) -> str:
    """``0.41``, or ``> 60`` for what had not come to its end when the watch did."""
    return f"{seconds:.2f}" if ended else f"> {int(seconds)}"
