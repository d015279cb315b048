"""Beat remembers when entries ran: what was due while it was away is sent once, and nothing twice."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from celery import Celery
from celery.beat import PersistentScheduler, ScheduleEntry
from celery.schedules import crontab
from celery.schedules import schedule as interval
from taskfleet import aws
from taskfleet.beat import runs
from taskfleet.beat.runs import FleetEntry, Run
from taskfleet.beat.scheduler import FleetScheduler, over
from taskfleet.contract import names, state

from tests.support.processes import free_port
from tests.support.tiny_fleet import TinyFleet

DAY = timedelta(days=1)


def beat_of(fleet: TinyFleet, **entry: Any) -> FleetScheduler:
    """A new container of beat, with one entry."""
    app = fleet.app()
    app.conf.beat_schedule = {"nightly": {"task": "anything", "options": {"queue": "low"}, **entry}}
    return FleetScheduler(app)


def table(fleet: TinyFleet) -> dict[str, Any]:
    return {
        "TableName": names.state_table(fleet.name),
        "Key": {state.KEY: {"S": state.BEAT_RUNS}},
    }


def kept(fleet: TinyFleet) -> dict[str, float]:
    item = fleet.aws.client("dynamodb").get_item(**table(fleet)).get("Item", {"runs": {"M": {}}})
    return {name: float(run["M"]["at"]["N"]) for name, run in item["runs"]["M"].items()}


def away_for(fleet: TinyFleet, time: timedelta) -> None:
    """As if everything in the table had been written so much earlier."""
    update = {
        "UpdateExpression": "SET runs.nightly.#at = :at",
        "ExpressionAttributeNames": {"#at": "at"},
        "ExpressionAttributeValues": {":at": {"N": f"{kept(fleet)['nightly'] - time.total_seconds():.3f}"}},
    }
    fleet.aws.client("dynamodb").update_item(**table(fleet), **update)


def sent(fleet: TinyFleet) -> list[str]:
    return [json.loads(raw)["headers"]["id"] for raw in fleet.valkey.client().lrange("low.r1", 0, -1)]


def turn(beat: FleetScheduler) -> None:
    """Some turns of a running beat, and its end."""
    for _ in range(3):
        beat.tick()
    beat.close()


class OnAFile(PersistentScheduler):  # type: ignore[misc]
    """A team's own, built on the one that Celery has by default."""

    class Entry(ScheduleEntry):  # type: ignore[misc]
        """With entries of its own."""


CELERYS = ["celery.beat:Scheduler", "celery.beat:PersistentScheduler", "celery.beat.PersistentScheduler"]


@pytest.mark.parametrize("scheduler", [FleetScheduler, OnAFile, *CELERYS])
def test_a_daily_entry_fires_though_beat_is_replaced_more_often(fleet: TinyFleet, scheduler: Any) -> None:
    def beat() -> FleetScheduler:
        """Its file goes with its container."""
        file = fleet.directory / str(uuid.uuid4())
        made: FleetScheduler = over(scheduler)(beat_of(fleet, schedule=DAY).app, schedule_filename=str(file))
        return made

    for _ in range(4):
        turn(beat())
        away_for(fleet, timedelta(hours=7))
    assert sent(fleet) == []

    turn(beat())
    turn(beat())

    assert len(sent(fleet)) == 1


@pytest.mark.parametrize("schedule", [timedelta(hours=1), crontab(minute="0")], ids=["interval", "crontab"])
def test_what_was_due_while_beat_was_away_is_caught_up_once(fleet: TinyFleet, schedule: Any) -> None:
    turn(beat_of(fleet, schedule=schedule))
    away_for(fleet, timedelta(days=3))

    turn(beat_of(fleet, schedule=schedule))
    turn(beat_of(fleet, schedule=schedule))

    assert len(sent(fleet)) == 1


def test_an_entry_may_say_that_it_is_not_caught_up(fleet: TinyFleet) -> None:
    entry = {"schedule": timedelta(hours=1), "catch_up": False}
    turn(beat_of(fleet, **entry))
    away_for(fleet, timedelta(hours=3, minutes=20))

    turn(beat_of(fleet, **entry))

    assert sent(fleet) == []


def test_under_another_schedule_nothing_was_due(fleet: TinyFleet) -> None:
    turn(beat_of(fleet, schedule=crontab(hour="3", minute="0")))
    away_for(fleet, timedelta(days=3))
    turn(beat_of(fleet, schedule=crontab(hour="4", minute="0")))

    assert sent(fleet) == []


def test_a_firing_that_beat_died_of_has_the_same_id_when_it_is_sent_again(
    fleet: TinyFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn(beat_of(fleet, schedule=DAY))
    away_for(fleet, 2 * DAY)
    with monkeypatch.context() as killed:
        killed.setattr(FleetScheduler, "_save", lambda self: None)
        turn(beat_of(fleet, schedule=DAY))

    turn(beat_of(fleet, schedule=DAY))

    first, second = sent(fleet)
    assert first == second


def test_what_no_broker_accepted_is_due_again_for_the_next_beat(fleet: TinyFleet) -> None:
    turn(beat_of(fleet, schedule=DAY))
    away_for(fleet, 2 * DAY)
    fleet.deploy("r2", queues=("high",))  # no `low`: nothing accepts the entry
    fleet.promote("r2")
    turn(beat_of(fleet, schedule=DAY))

    fleet.promote("r1")
    turn(beat_of(fleet, schedule=DAY))

    assert len(sent(fleet)) == 1


def test_a_table_that_does_not_answer_loses_nothing(
    fleet: TinyFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn(beat_of(fleet, schedule=DAY))
    away_for(fleet, 2 * DAY)
    before, real = kept(fleet), aws.client
    nobody = boto3.client(
        "dynamodb",
        endpoint_url=f"http://127.0.0.1:{free_port()}",
        region_name="us-east-1",
        config=Config(connect_timeout=0.2, retries={"total_max_attempts": 1}),
    )
    with monkeypatch.context() as away:
        away.setattr(aws, "client", lambda name, *rest: nobody if name == "dynamodb" else real(name, *rest))
        beat = beat_of(fleet, schedule=DAY)
        for _ in range(3):
            beat.tick()
    assert (sent(fleet), kept(fleet)) == ([], before)

    monkeypatch.setattr("taskfleet.beat.turn.LOOK_SECONDS", 0.0)
    turn(beat)

    assert len(sent(fleet)) == 1
    assert kept(fleet) != before


NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
HOUR = interval(timedelta(hours=1))


def at(hours: float) -> float:
    return (NOON + timedelta(hours=hours)).timestamp()


@pytest.mark.parametrize(
    ("schedule", "catch_up", "run", "goes_on"),
    [
        (HOUR, True, Run(at(-30), repr(HOUR)), at(-30)),
        (HOUR, False, Run(at(-0.4), repr(HOUR)), at(-0.4)),
        (HOUR, False, Run(at(-30.4), repr(HOUR)), at(-0.4)),
        (crontab(minute="0"), False, Run(at(-30.4), repr(crontab(minute="0"))), at(0)),
        (HOUR, True, Run(at(-30), "another"), at(0)),
        (HOUR, True, Run(at(5), repr(HOUR)), at(0)),  # a clock that was ahead
    ],
)
def test_from_when_an_entry_goes_on(
    schedule: Any, catch_up: bool, run: Run, goes_on: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Celery("test", set_as_current=False)
    entry = FleetEntry("nightly", "anything", schedule=schedule, catch_up=catch_up, app=app)
    monkeypatch.setattr(entry, "default_now", lambda: NOON)

    assert runs.resumed(entry, run).timestamp() == goes_on
