"""When the entries of a schedule fire, asked of Celery's own schedules with a clock of ours. Pure."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from typing import Any

from celery import Celery
from celery.schedules import BaseSchedule, maybe_schedule

# From afar, Celery's estimate of what is left may be wrong by a clock change: it is asked again so early.
_NEAR = timedelta(hours=2)
# … and then as often as this, as beat does (it asks every ten seconds).
_STEP = timedelta(minutes=1)
# Around a clock change: enough for a daily entry; of one that fires often, what is close.
_DAILY, _OFTEN = timedelta(hours=36), timedelta(hours=2)
# A clock change comes within a year, where there is one.
_YEAR = timedelta(days=370)
# A schedule that never fires (30 February) is given up after so long.
_LONGEST = timedelta(days=5 * 366)
FIRST, BESIDE_CHANGE = 5, 3


@dataclass(frozen=True)
class Entry:
    """One entry of ``beat_schedule``. ``zone`` is that of the application, which Celery reads hours in."""

    name: str
    task: str
    schedule: BaseSchedule
    zone: tzinfo
    catch_up: bool = True


def entries(app: Celery) -> list[Entry]:
    """Of the application's configuration, in the order of their names."""
    found: Mapping[str, Any] = app.conf.beat_schedule or {}
    return [
        Entry(
            name,
            entry["task"],
            maybe_schedule(entry["schedule"], app=app),
            app.timezone,
            bool(entry.get("catch_up", True)),
        )
        for name, entry in sorted(found.items())
    ]


def firings(entry: Entry, since: datetime, until: datetime | None = None) -> Iterator[datetime]:
    """The moments in its zone at which beat fires it, if it ran last at ``since`` (aware), in their order."""
    end = until or datetime.max.replace(tzinfo=UTC)
    clock = _Clock(since, entry.zone)
    rhythm = copy.copy(entry.schedule)
    rhythm.app, rhythm.nowfun = entry.schedule.app, clock  # Celery's copies lose their application
    last, quiet_since = clock(), clock.at
    while clock.at <= end and clock.at - quiet_since < _LONGEST:
        due, left = rhythm.is_due(last)
        if due and clock.at > since:
            last, quiet_since = clock(), clock.at
            yield last
        elif due:
            last = clock()
        wait = timedelta(seconds=left)
        clock.at += max(wait - _NEAR if wait > _NEAR else min(wait, _STEP), timedelta(milliseconds=1))


def clock_changes(zone: tzinfo, since: datetime) -> list[datetime]:
    """The hours, in UTC, at which the zone's clocks change in the year from then on."""
    hour = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    found = []
    while hour < since + _YEAR:
        following = hour + timedelta(hours=1)
        if hour.astimezone(zone).utcoffset() != following.astimezone(zone).utcoffset():
            found.append(following)
        hour = following
    return found


def expected(entry: Entry, since: datetime) -> dict[str, Any]:
    """What a golden file says of an entry: its first firings, and those around the year's clock changes."""
    first = list(islice(firings(entry, since), FIRST))
    often = len(first) > 1 and first[1] - first[0] <= timedelta(hours=1)
    around = {
        change.isoformat(): _texts(around_change(entry, change, _OFTEN if often else _DAILY))
        for change in clock_changes(entry.zone, since)
    }
    return {
        "task": entry.task,
        "schedule": repr(entry.schedule),
        "zone": str(entry.zone),
        "firings": _texts(first),
        "around_clock_changes": around,
    }


def around_change(entry: Entry, change: datetime, span: timedelta) -> list[datetime]:
    """The last firings before the change and the first from it on, within ``span`` of it."""
    before: deque[datetime] = deque(maxlen=BESIDE_CHANGE)
    after: list[datetime] = []
    for moment in firings(entry, change - span, change + span):
        if moment < change:
            before.append(moment)
        else:
            after.append(moment)
        if len(after) == BESIDE_CHANGE:
            break
    return [*before, *after]


def _texts(moments: list[datetime]) -> list[str]:
    return [moment.isoformat() for moment in moments]


class _Clock:
    """What time it is for a schedule."""

    def __init__(self, at: datetime, zone: tzinfo) -> None:
        self.at, self._zone = at.astimezone(UTC), zone

    def __call__(self) -> datetime:
        return self.at.astimezone(self._zone)
