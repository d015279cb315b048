"""When each entry of the schedule ran last, as kept in the state table. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from celery.beat import ScheduleEntry
from celery.schedules import BaseSchedule, schedule

from taskfleet.contract import state as keys

Item = dict[str, Any]


class FleetEntry(ScheduleEntry):  # type: ignore[misc]
    """Celery's, and ``catch_up``: whether what was due while beat was away is sent once when it is back."""

    def __init__(self, *args: Any, catch_up: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.catch_up = catch_up


@dataclass(frozen=True)
class Run:
    """``at``, seconds since the epoch; ``schedule`` in Celery's words: under another one nothing was due."""

    at: float
    schedule: str


def of(entry: ScheduleEntry) -> Run:
    """The last run of an entry, as exact as the table keeps it; of a new one, when it was first seen."""
    return Run(round(entry.last_run_at.timestamp(), 3), repr(entry.schedule))


# Of entries that another release has: it may be current again.
OTHERS_KEPT_SECONDS = 30 * 24 * 3600.0


def of_others(kept: Mapping[str, Run], own: Container[str], *, now: float) -> dict[str, Run]:
    """What is kept of entries that this schedule has not."""
    return {name: run for name, run in kept.items() if name not in own and now - run.at < OTHERS_KEPT_SECONDS}


def resumed(entry: ScheduleEntry, run: Run, *, handed_over: bool = False) -> datetime:
    """From when an entry goes on after beat was away, or another beat has ``handed_over``."""
    now: datetime = entry.default_now()
    # In the schedule's own zone: Celery reads a crontab's hours off it.
    last = min(now, datetime.fromtimestamp(run.at, now.tzinfo))
    if run.schedule != repr(entry.schedule):
        return now
    return last if getattr(entry, "catch_up", True) or handed_over else _skipped(entry.schedule, last, now)


def _skipped(rhythm: BaseSchedule, last: datetime, now: datetime) -> datetime:
    """Nothing is due before now. An interval keeps its rhythm: begun anew at each start, it may never end."""
    if not isinstance(rhythm, schedule) or not rhythm.run_every:
        return now
    every: timedelta = rhythm.run_every
    return last + (now - last) // every * every


def to_item(runs: Mapping[str, Run]) -> Item:
    """The item of the state table."""
    kept = {name: {"at": run.at, "schedule": run.schedule} for name, run in runs.items()}
    return {keys.KEY: keys.BEAT_RUNS, "runs": kept}


def from_item(item: Item | None) -> dict[str, Run]:
    """What `to_item` wrote; nothing before the first time."""
    kept = item["runs"] if item else {}
    return {name: Run(float(run["at"]), str(run["schedule"])) for name, run in kept.items()}
