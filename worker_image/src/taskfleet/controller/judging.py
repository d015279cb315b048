"""Looks at what decides about a release that is in its canary, or that bakes. Errors pass through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from taskfleet.contract import alarm_catalogue
from taskfleet.controller.clients import Clients
from taskfleet.measuring import tasks
from taskfleet.measuring.tasks import Figures
from taskfleet.releases.bake import bakes
from taskfleet.releases.comparing import Comparison, Runs, compare
from taskfleet.releases.model import Pointer, Record, State
from taskfleet.releases.observation import Alarms

_AT_ONCE = 100  # DescribeAlarms


def comparisons(
    clients: Clients, records: Iterable[Record], pointer: Pointer, now: float
) -> dict[str, Comparison]:
    """The release in its canary and the current one, by what workers counted since the canary began."""
    return {
        record.release: compare(
            *(_runs(clients, name, record.since, now) for name in (record.release, current))
        )
        for record in records
        if record.state is State.CANARY and (current := pointer.release) != record.release
    }


def _runs(clients: Clients, release: str, since: float, until: float) -> dict[tuple[str, str], Runs]:
    """Minute by minute, since bad runs of one minute may have one cause."""
    found = tasks.read_by_minute(clients.primary, clients.environment, release, since, until)
    return {key: runs_of(minutes) for key, minutes in found.items()}


def runs_of(minutes: Sequence[Figures]) -> Runs:
    """Of one task. A run that is to be tried again is a bad one."""
    counted = [
        (each.ended + each.lost, each.ended - each.succeeded - each.ignored + each.lost) for each in minutes
    ]
    times: Counter[int] = Counter()
    for each in minutes:
        times.update(each.runtime.counts)
    runs, bad = (sum(part) for part in zip(*counted, strict=True))
    return Runs(runs, bad, times, tuple(counted))


def alarms(clients: Clients, records: Iterable[Record]) -> dict[str, Alarms]:
    """Those of releases that bake."""
    return {record.release: _alarms(clients, record) for record in records if bakes(record)}


def _alarms(clients: Clients, record: Record) -> Alarms:
    wanted = alarm_catalogue.of_release(clients.environment, record.manifest)
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        names = wanted[start : start + _AT_ONCE]
        reply = clients.cloudwatch.describe_alarms(
            AlarmNames=names, AlarmTypes=["MetricAlarm"], MaxRecords=100
        )
        found.update({each["AlarmName"]: each for each in reply["MetricAlarms"]})
    states = {name: _state(found.get(name), record.since) for name in wanted}
    return Alarms(**{how: tuple(n for n, state in states.items() if state == how) for how in _STATES})


_STATES = ("ringing", "before", "unknown")


def _state(alarm: dict[str, Any] | None, since: float) -> str:
    """One of `_STATES`, or another word for one that is off."""
    value = alarm["StateValue"] if alarm else "INSUFFICIENT_DATA"
    if alarm is None or value not in ("OK", "ALARM"):
        return "unknown"
    if value == "OK":
        return "off"
    changed = alarm.get("StateTransitionedTimestamp") or alarm["StateUpdatedTimestamp"]
    return "ringing" if changed.timestamp() >= since else "before"
