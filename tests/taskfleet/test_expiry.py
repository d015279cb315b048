"""What waits for its ETA does not expire meanwhile."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from taskfleet.contract import environment as env
from taskfleet.contract.limits import FALLBACK_MAX_ETA_SECONDS
from taskfleet.contract.messages import REDIS_SCHEDULED_MESSAGES
from taskfleet.worker.task import DEFAULT_EXPIRES_SECONDS

from infra.constructs.queues import FALLBACK_RETENTION_DAYS
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
