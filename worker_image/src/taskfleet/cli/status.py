"""`fleet status`: one page that says whether the fleet keeps up, and what to read if it does not."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict

import click

from taskfleet.cli.alarms import Alarm, firing
from taskfleet.cli.operator import LastSnapshot, Operator, asks
from taskfleet.cli.output import UNKNOWN, duration, number, show, show_json, table, waited
from taskfleet.controller.fleet_snapshot import FleetSnapshot, PoolSnapshot, ReleaseSnapshot, total
from taskfleet.etas.store import Waiting
from taskfleet.releases.model import State
from taskfleet.releases.observation import Rules
from taskfleet.scaling.holds import Hold

_HEAD = (
    "pool",
    "running",
    "wanted",
    "min-max",
    "waiting",
    "unacked",
    "slots",
    "in/s",
    "done/s",
    "wait p95",
    "oldest",
    "gap",
    "on fallback",
    "fallback workers",
    "failed",
)


@click.command()
@asks
def status(operator: Operator) -> None:
    """Say how the fleet is. Exit code 1 if a person should act."""
    last, known, now = operator.last_look(), operator.store.read([]), time.time()
    waiting = operator.etas.count()
    current, holds = known.pointer.release, known.holds.at(now)
    alarms = firing(operator.client("cloudwatch"), operator.environment)
    wrong = needs_a_person(last, alarms)
    if operator.json:
        look = {**asdict(last.known), "age_seconds": last.age_seconds, "silent": last.silent}
        held = {service: asdict(hold) for service, hold in holds.items()}
        listed = [alarm.as_json() for alarm in alarms]
        etas = {"etas_waiting": waiting.number, "etas_waiting_is_all": waiting.is_all}
        show_json({"ok": not wrong, **look, **etas, "current": current, "holds": held, "alarms": listed})
    else:
        show(list(page(last, alarms, current=current, holds=holds, waiting=waiting, now=now)))
    sys.exit(1 if wrong else 0)


def needs_a_person(last: LastSnapshot, alarms: list[Alarm]) -> bool:
    """Whether anything on the page asks for somebody to act."""
    return last.silent or bool(last.look.problems) or any(not alarm.scaling for alarm in alarms)


def page(
    last: LastSnapshot,
    alarms: list[Alarm],
    *,
    current: str,
    holds: Mapping[str, Hold],
    waiting: Waiting,
    now: float,
) -> Iterator[str]:
    """The page's lines. ``current`` is the pointer now, which may be newer than the look."""
    look = last.known
    if last.silent:
        yield f"THE CONTROLLER IS SILENT: it looked {duration(last.age_seconds)} ago, so its figures are ?."
        yield "Nothing scales and no release moves until it looks again: runbooks/controller-silent.md"
        yield ""
    yield f"environment      {look.environment}, looked {duration(last.age_seconds)} ago"
    yield f"current release  {current}{_since_the_look(look, current)}"
    yield f"primary broker   {_up(look.broker_up)}"
    yield f"fallback broker  {_up(look.fallback_up)}"
    yield f"beat             ticked {duration(look.beat_age_seconds)} ago"
    yield f"far ETAs         {_etas(look, waiting, now)}"
    kept = number(total(look.dead_letters.values()))
    yield f"dead letters     {kept}, {number(look.new_dead_letters)} of them new"
    for release in look.releases:
        yield ""
        yield f"release {release.release}: {_state(release, now)}"
        yield from table(_HEAD, [_row(pool) for pool in release.pools])
        yield f"  beat: {_beat(release, current)}"
    yield from _holds(holds, now)
    yield from _alarms(alarms, now)
    if look.problems:
        yield from ("", "problems", *(f"  {problem}" for problem in look.problems))


def _etas(look: FleetSnapshot, waiting: Waiting, now: float) -> str:
    """How many wait beside the queues, when the next is due, and how late the oldest is."""
    if not waiting.number:
        return "none waits"
    said = f"{waiting} wait"
    if look.etas_late_seconds:
        return f"{said}, THE OLDEST IS LATE by {duration(look.etas_late_seconds)}"
    if look.next_eta is None:
        return said
    return f"{said}, the next is due in {duration(max(0.0, look.next_eta - now))}"


def _up(answer: bool | None) -> str:
    return UNKNOWN if answer is None else "up" if answer else "DOWN"


def _since_the_look(look: FleetSnapshot, current: str) -> str:
    if look.current != current:
        return " (since a moment ago: the controller has not looked since)"
    if look.published is None:
        return " (what producers read is not known)"
    return "" if look.published == look.current else f" (producers still read {look.published})"


def _state(release: ReleaseSnapshot, now: float) -> str:
    since = f"since {duration(now - release.since)}"
    if release.state == State.GATING:
        return (
            f"gating {since}, {'its gate has passed: promote it' if release.ready else 'its gate tasks run'}"
        )
    if release.state == State.DRAINING:
        late = ", LATER THAN ITS DEADLINE" if release.overdue else ""
        looks = f"{release.empty_looks} of {Rules.zero_samples} looks"
        return f"draining {since}: {release.left}; empty in {looks}{late}"
    if release.state == State.FAILED:
        return f"failed {since}: {release.reason}"
    return f"{release.state} {since}"


def _beat(release: ReleaseSnapshot, current: str) -> str:
    """Of a release of the version before, the fleet's fires."""
    if not release.beat:
        return "the fleet's, which fires while this release is current"
    if release.beat_desired == 0:
        return "asleep"
    runs = f"{number(release.beat_running)} of {number(release.beat_desired)} running"
    return f"{runs}, {'fires' if release.release == current else 'fires when this release is current'}"


def _row(pool: PoolSnapshot) -> tuple[str, ...]:
    return (
        pool.pool,
        number(pool.running),
        number(pool.desired),
        f"{pool.min_workers}-{pool.max_workers}",
        number(pool.waiting),
        number(pool.unacknowledged),
        number(pool.total_slots),
        number(pool.arrivals),
        number(pool.completions),
        waited(pool.runs),
        duration(pool.oldest_age_seconds),
        UNKNOWN if pool.gap is None else f"{pool.gap:+d}" if pool.gap else "0",
        number(pool.fallback),
        f"{number(pool.fallback_running)}/{number(pool.fallback_desired)}",
        number(pool.failed),
    )


def _holds(holds: Mapping[str, Hold], now: float) -> Iterator[str]:
    if holds:
        yield ""
        yield "set by a person (`fleet scale POOL auto --yes` ends it)"
    for service, hold in holds.items():
        yield f"  {service} at {hold.workers} for another {duration(hold.until - now)}, by {hold.actor}"


def _alarms(alarms: list[Alarm], now: float) -> Iterator[str]:
    for_people = [alarm for alarm in alarms if not alarm.scaling]
    at_work = Counter(alarm.kind for alarm in alarms if alarm.scaling)
    yield ""
    yield "alarms" if for_people else "alarms: none that needs a person"
    for alarm in for_people:
        yield f"  {alarm.name} for {duration(now - alarm.since)}: read {alarm.runbook or 'its description'}"
    if at_work:
        yield f"  (scaling at work: {', '.join(f'{n} x {kind}' for kind, n in at_work.items())})"
