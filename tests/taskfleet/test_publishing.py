"""Publishing against real brokers: where a task goes, and what happens when a broker is gone."""

from __future__ import annotations

import json
import time

import pytest

from taskfleet.errors import PublishError, UnknownQueue
from tests.support.tiny_fleet import TinyFleet


def test_a_task_goes_to_its_queue_of_the_current_release(fleet: TinyFleet) -> None:
    before = time.time()

    fleet.app().send_task("anything", args=[1], queue="high")

    [raw] = fleet.valkey.client().lrange("high.r1", 0, -1)
    headers = json.loads(raw)["headers"]
    assert headers["taskfleet_release"] == "r1"
    assert before <= headers["taskfleet_published_at"] <= time.time()
    assert headers["task"] == "anything"


def test_a_task_without_a_queue_goes_to_the_default_one(fleet: TinyFleet) -> None:
    fleet.app().send_task("anything")

    assert fleet.waiting("low", "r1") == 1


def test_a_queue_that_the_release_does_not_have_is_refused(fleet: TinyFleet) -> None:
    with pytest.raises(UnknownQueue, match=r"release r1 has no queue 'hihg'.*high, low"):
        fleet.app().send_task("anything", queue="hihg")


def test_when_redis_is_killed_the_same_task_goes_to_sqs(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.send_task("anything", queue="low")
    fleet.valkey.kill()

    began = time.monotonic()
    result = app.send_task("anything", queue="low")
    took = time.monotonic() - began

    assert fleet.waiting_on_sqs("low", "r1") == 1
    assert result.id
    assert took < 2


def test_when_redis_hangs_a_publish_is_bounded_and_the_breaker_opens(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.send_task("anything", queue="low")
    fleet.valkey.pause()

    took = []
    for _ in range(6):
        began = time.monotonic()
        app.send_task("anything", queue="low")
        took.append(time.monotonic() - began)

    print(took)
    assert fleet.waiting_on_sqs("low", "r1") == 6
    assert max(took) < 2
    assert took[-1] < 0.3


def test_when_no_broker_answers_the_caller_is_told_within_two_seconds(fleet: TinyFleet, own_aws) -> None:
    pass
