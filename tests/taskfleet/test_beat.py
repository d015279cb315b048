"""Beat: periodic work reaches the current release, and beat says that it lives even with a broker down."""

from __future__ import annotations

import json
import time

from taskfleet.beat.scheduler import OWED_AGAIN_SECONDS, FleetScheduler
from taskfleet.contract import names, state

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


def test_an_entry_that_no_broker_accepted_is_owed_and_paid(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.conf.beat_schedule = {"often": {"task": "anything", "schedule": 3600.0, "options": {"queue": "low"}}}
    beat = FleetScheduler(app, schedule_filename=str(fleet.directory / "beat"))
    fleet.deploy("r2", queues=("high",))  # no `low`: nothing accepts the entry
    fleet.promote("r2")

    beat.apply_entry(beat.schedule["often"])
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
