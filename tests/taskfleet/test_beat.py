"""Beat: periodic work reaches the current release, and beat says that it lives even with a broker down."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.beat import Scheduler
from taskfleet.beat.scheduler import OWED_AGAIN_SECONDS, FleetScheduler, over
from taskfleet.contract import environment as env
from taskfleet.contract import names, state
from taskfleet.errors import SettingsError

from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet


def last_tick(fleet: TinyFleet) -> float:
    """When beat last said that it lives; 0 if never."""
    item = fleet.aws.client("dynamodb").get_item(
        TableName=names.state_table(fleet.name), Key={state.KEY: {"S": state.BEAT}}
    )
    return float(item["Item"]["at"]["N"]) if "Item" in item else 0.0


def test_beat_ticks_and_lives_without_redis(fleet: TinyFleet) -> None:
    fleet.valkey.kill()
    beat = fleet.start("beat", fleet.environment(), "beat: Starting")

    wait_for(lambda: last_tick(fleet) > time.time() - 60, what="a tick in the state table")

    assert fleet.health(beat) == 0
    assert fleet.journal.is_dir()
    beat.terminate()
    assert beat.wait(10) == 0


def test_beat_ends_on_term_while_its_scheduler_is_being_made(fleet: TinyFleet) -> None:
    slow = fleet.environment(
        **{env.APP.name: "tests.taskfleet.slow_scheduler:app", "PYTHONPATH": str(Path.cwd())}
    )
    beat = fleet.start("beat", slow, "being made")

    beat.terminate()

    assert beat.wait(30) == 0


def test_an_entry_that_no_broker_accepted_is_owed_and_paid(
    fleet: TinyFleet, caplog: pytest.LogCaptureFixture
) -> None:
    app = fleet.app()
    app.conf.beat_schedule = {"often": {"task": "anything", "schedule": 3600.0, "options": {"queue": "low"}}}
    beat = FleetScheduler(app)
    fleet.deploy("r2", queues=("high",))  # no `low`: nothing accepts the entry
    fleet.promote("r2")

    with caplog.at_level(logging.ERROR, "taskfleet"):
        beat.apply_entry(beat.schedule["often"])
        for _ in range(5):
            beat.tick()
    [said] = [record.getMessage() for record in caplog.records]
    assert "entry often is due and was not accepted" in said
    assert "release r2 has no queue 'low'" in said
    owed = beat._owed["often"].options["task_id"]
    assert beat.tick() <= OWED_AGAIN_SECONDS
    fleet.promote("r1")
    app.taskfleet.releases.expire()
    beat.tick()
    beat.tick()

    (message,) = fleet.valkey.client().lrange("low.r1", 0, -1)
    assert json.loads(message)["headers"]["id"] == owed, "one id, however often it was tried"
    assert "task_id" not in beat.schedule["often"].options, "the next firing has another"
    beat.close()


class OwnScheduler(Scheduler):  # type: ignore[misc]
    """A scheduler of the application's."""

    own = "kept"


def test_a_scheduler_of_the_applications_own_is_bounded_and_kept() -> None:
    made = over("tests.taskfleet.test_beat:OwnScheduler")

    assert issubclass(made, OwnScheduler)
    assert made.__name__ == "OwnScheduler"
    assert made.producer is None, "it does not wait for a broker"  # type: ignore[attr-defined]
    assert over("taskfleet.beat.scheduler:FleetScheduler") is FleetScheduler


@pytest.mark.parametrize("name", ["nowhere.scheduler:Scheduler", "celery.beat:NoScheduler", Celery])
def test_what_is_no_scheduler_is_refused_with_its_name(name: Any) -> None:
    with pytest.raises(SettingsError, match=r"beat_scheduler = .*Fix: "):
        over(name)


def test_an_entry_is_sent_by_celerys_own_method(fleet: TinyFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that instrumentation wraps (Sentry's check-ins)."""
    seen, stock = [], Scheduler.apply_entry

    def wrapped(self: Any, entry: Any, *args: Any, **kwargs: Any) -> None:
        seen.append(entry.name)
        stock(self, entry, *args, **kwargs)

    monkeypatch.setattr(Scheduler, "apply_entry", wrapped)
    app = fleet.app()
    app.conf.beat_schedule = {"often": {"task": "anything", "schedule": 3600.0}}
    beat = FleetScheduler(app)

    beat.apply_entry(beat.schedule["often"])

    assert seen == ["often"]
    assert fleet.waiting("low", "r1") == 1
    beat.close()
