"""What waits for its ETA does not expire meanwhile."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from taskfleet.contract import environment as env
from taskfleet.contract.limits import FALLBACK_MAX_ETA_SECONDS
from taskfleet.contract.messages import DEFAULT_EXPIRY_HEADER, REDIS_SCHEDULED_MESSAGES
from taskfleet.dead_letters.dead_letter import DeadLetterKind
from taskfleet.worker import expiring
from taskfleet.worker.task import DEFAULT_EXPIRES_SECONDS

from infra.constructs.queues import FALLBACK_RETENTION_DAYS
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet import own_tasks

DAY = 24 * 3600
WEEK = timedelta(seconds=DEFAULT_EXPIRES_SECONDS)


@pytest.mark.parametrize(
    ("options", "lives"),
    [
        ({}, WEEK),
        ({"countdown": 8 * DAY}, WEEK + timedelta(days=8)),
        ({"eta": timedelta(days=8)}, WEEK + timedelta(days=8)),
        ({"eta": timedelta(days=-8)}, WEEK),
        ({"countdown": DAY, "expires": 90}, timedelta(seconds=90)),
    ],
)
def test_an_expiry_counts_from_the_eta_unless_the_caller_says_it(
    fleet: TinyFleet, options: dict[str, Any], lives: timedelta
) -> None:
    own_tasks.app.taskfleet.bind(fleet.settings())
    now = datetime.now(UTC)
    at = {"eta": now + options["eta"]} if "eta" in options else {}

    own_tasks.as_it_comes.apply_async(**options | at)

    client = fleet.valkey.client()
    far = [text.partition(":")[2] for text in client.hvals(REDIS_SCHEDULED_MESSAGES + "low.r1")]
    [raw] = client.lrange("low.r1", 0, -1) + far
    expires = datetime.fromisoformat(json.loads(raw)["headers"]["expires"])
    assert abs(expires - now - lives) < timedelta(seconds=30)


def test_a_task_whose_eta_is_later_than_it_lives_is_run(fleet: TinyFleet) -> None:
    own_tasks.app.taskfleet.bind(fleet.settings())
    fleet.start_worker("r1", **{env.APP.name: "tests.taskfleet.own_tasks:app"})

    own_tasks.short_lived.apply_async(countdown=6)

    fleet.wait_executed("short-lived", 1)


def test_a_far_eta_expires_before_the_fallback_forgets_it() -> None:
    assert FALLBACK_MAX_ETA_SECONDS + DEFAULT_EXPIRES_SECONDS <= FALLBACK_RETENTION_DAYS * DAY


def _expired(app: Any, name: str, **headers: Any) -> str:
    """Published with an end that has passed; by ``headers``, by the fleet's default."""
    past = datetime.now(UTC) - timedelta(hours=1)
    return str(app.send_task(name, expires=past, headers=headers).id)


def test_the_fleets_default_is_told_from_the_teams_word(fleet: TinyFleet) -> None:
    own_tasks.app.taskfleet.bind(fleet.settings())
    own_tasks.as_it_comes.delay()
    own_tasks.as_it_comes.apply_async(expires=90)
    own_tasks.short_lived.delay()

    raw = fleet.valkey.client().lrange("low.r1", 0, -1)
    marked = [json.loads(one)["headers"].get(DEFAULT_EXPIRY_HEADER) for one in reversed(raw)]
    assert marked == [True, None, None]


def test_what_the_default_ends_is_kept_and_what_the_team_ends_is_counted(
    fleet: TinyFleet, tmp_path: Path
) -> None:
    app = own_tasks.app
    app.taskfleet.bind(fleet.settings())
    by_default = _expired(app, "own.as-it-comes", **{DEFAULT_EXPIRY_HEADER: True})
    by_the_team = _expired(app, "own.short-lived")
    fleet.start_worker("r1", **{env.APP.name: "tests.taskfleet.own_tasks:app"})

    wait_for(lambda: fleet.dead_letters("low") == 1, what="the dead letter")
    wait_for(lambda: bool(_counted(tmp_path)), what="the line of what expired")

    (letter,) = fleet.store.headings(["low"])
    assert (letter.kind, letter.task_id) == (DeadLetterKind.EXPIRED, by_default)
    (line,) = _counted(tmp_path)
    assert (line["task"], line["task_id"], line["TasksExpired"]) == ("own.short-lived", by_the_team, 1)
    assert fleet.executed("short-lived") == []
    wait_for(lambda: fleet.waiting("low", "r1") == 0, what="nothing left")


def _counted(directory: Path) -> list[dict[str, Any]]:
    lines = [line for log in directory.rglob("log") for line in log.read_text().splitlines()]
    return [json.loads(line) for line in lines if "TasksExpired" in line]


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({"expires": "2026-07-01T12:00:00+00:00", DEFAULT_EXPIRY_HEADER: True}, True),
        ({"expires": "2026-07-01T12:00:00", DEFAULT_EXPIRY_HEADER: True}, True),
        ({"expires": "2026-07-03T12:00:00", DEFAULT_EXPIRY_HEADER: True}, False),
        ({"expires": "2026-07-01T12:00:00"}, False),
        ({"expires": None, DEFAULT_EXPIRY_HEADER: True}, False),
        ({"expires": "soon", DEFAULT_EXPIRY_HEADER: True}, False),
        ({"expires": [1], DEFAULT_EXPIRY_HEADER: True}, False),
        (None, False),
    ],
)
def test_what_expired_by_default(headers: dict[str, Any] | None, kept: bool) -> None:
    now = datetime(2026, 7, 2, tzinfo=UTC).timestamp()
    assert (expiring.examine(headers, now=now) is not None) is kept
