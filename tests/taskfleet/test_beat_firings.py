"""When entries fire, clock changes included: what Celery's own schedules give a beat that runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.schedules import crontab
from taskfleet.beat.firings import clock_changes, entries, expected, firings

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
BERLIN = "Europe/Berlin"


def entry(schedule: Any, zone: str = BERLIN) -> Any:
    app = Celery("shop", set_as_current=False)
    app.conf.update(timezone=zone, beat_schedule={"it": {"task": "shop.it", "schedule": schedule}})
    (found,) = entries(app)
    return found


@pytest.mark.parametrize(
    ("schedule", "since", "fires"),
    [
        (crontab(hour=3, minute=0), "2026-01-01T02:59", ["01-01 02:00", "01-02 02:00"]),
        # 02:30 is not there in spring, and is there twice in autumn.
        (crontab(hour=2, minute=30), "2026-03-28T12:00", ["03-29 01:30", "03-30 00:30"]),
        (crontab(hour=2, minute=30), "2026-10-24T12:00", ["10-25 00:30", "10-26 01:30"]),
        (crontab(minute="*/30"), "2026-03-29T01:10+01:00", ["03-29 00:30", "03-29 01:00", "03-29 01:30"]),
        # The hour that comes twice has its firings once, and none in its second hour.
        (crontab(minute="*/30"), "2026-10-25T02:10+02:00", ["10-25 00:30", "10-25 02:00", "10-25 02:30"]),
        (crontab(day_of_month=29, month_of_year=2, hour=0, minute=0), "2026-01-01", ["02-28 23:00"]),
        (3600.0, "2026-03-29T00:30+01:00", ["03-29 00:30", "03-29 01:30", "03-29 02:30"]),
        (timedelta(days=1), "2026-01-01T12:00", ["01-02 11:00"]),
    ],
)
def test_an_entry_fires_at(schedule: Any, since: str, fires: list[str]) -> None:
    at = datetime.fromisoformat(since)
    begin = at if at.tzinfo else at.replace(tzinfo=ZoneInfo(BERLIN))
    found = islice(firings(entry(schedule), begin), len(fires))
    assert [f"{moment.astimezone(UTC):%m-%d %H:%M}" for moment in found] == fires


@pytest.mark.parametrize(
    ("zone", "changes"),
    [
        (ZoneInfo(BERLIN), ["03-29 01", "10-25 01"]),
        (ZoneInfo("America/New_York"), ["03-08 07", "11-01 06"]),
        (UTC, []),
    ],
)
def test_clocks_change_at(zone: tzinfo, changes: list[str]) -> None:
    assert [f"{change:%m-%d %H}" for change in clock_changes(zone, NEW_YEAR)] == changes


def test_what_is_expected_has_both_clock_changes() -> None:
    daily = expected(entry(crontab(hour=2, minute=30)), NEW_YEAR)
    assert daily["firings"][0] == "2026-01-01T02:30:00+01:00"
    assert daily["around_clock_changes"] == {
        "2026-03-29T01:00:00+00:00": [
            "2026-03-28T02:30:00+01:00",
            "2026-03-29T03:30:00+02:00",
            "2026-03-30T02:30:00+02:00",
        ],
        "2026-10-25T01:00:00+00:00": [
            "2026-10-24T02:30:00+02:00",
            "2026-10-25T02:30:00+02:00",
            "2026-10-26T02:30:00+01:00",
        ],
    }
    often = expected(entry(crontab(minute="*/30"), "UTC"), NEW_YEAR)
    assert often["around_clock_changes"] == {}
    assert often["firings"][:2] == ["2026-01-01T00:30:00+00:00", "2026-01-01T01:00:00+00:00"]
