"""Remote control from a producer, a shell and ``celery -A``: it reaches the fleet, or says why not."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from celery import Celery
from taskfleet.contract import environment as env
from taskfleet.contract import names, state
from taskfleet.errors import ControlError
from taskfleet.publishing.publisher import force_broker
from taskfleet.revokes import KEEP_SECONDS, MOST_IDS, SLOT_SECONDS, Revokes

from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet import behalf_tasks as tasks

APP = {env.APP.name: "tests.taskfleet.behalf_tasks:app"}


@pytest.fixture
def app(fleet: TinyFleet) -> Celery:
    """A producer that still has the broker of before."""
    made = fleet.app()
    made.conf.broker_url = "amqp://nobody:there@127.0.0.1:1//"
    return made


def start(fleet: TinyFleet, **more: str) -> None:
    fleet.start_worker("r1", **APP, **{tasks.BACKEND: fleet.valkey.url, **more})


def listening(fleet: TinyFleet, app: Celery) -> None:
    """Start a worker; it subscribes to commands an instant after it is ready."""
    start(fleet)
    wait_for(lambda: app.control.ping(limit=1), seconds=60, what="a pong")


def test_a_producer_pings_and_inspects(fleet: TinyFleet, app: Celery) -> None:
    listening(fleet, app)

    inspect = app.control.inspect(limit=1)
    (stats,) = inspect.stats().values()
    assert stats["pool"]["max-concurrency"] == 2
    assert "behalf.body" in next(iter(inspect.registered().values()))


def test_a_running_task_is_terminated(fleet: TinyFleet, app: Celery) -> None:
    app.conf.result_backend = fleet.valkey.url
    listening(fleet, app)
    result = app.send_task("behalf.waits", [1])
    wait_for(lambda: list(fleet.events("began")), seconds=60, what="the task")

    result.revoke(terminate=True, signal="SIGKILL")

    wait_for(lambda: app.AsyncResult(result.id).state == "REVOKED", seconds=60, what="the task's end")


@pytest.mark.parametrize("broker", [env.PRIMARY, env.FALLBACK])
def test_a_revoke_holds_for_workers_that_start_later(fleet: TinyFleet, app: Celery, broker: str) -> None:
    with force_broker(broker):
        revoked = app.send_task("behalf.body", [[1]], {"run": "revoked"})
        revoked.revoke()
        app.send_task("behalf.body", [[2]], {"run": "kept"})

    start(fleet, **{env.BROKER.name: broker})

    wait_for(lambda: fleet.executed("kept"), seconds=60, what="the other task")
    assert not fleet.executed("revoked")


def test_a_worker_on_sqs_honours_a_revoke_while_redis_is_away(fleet: TinyFleet, app: Celery) -> None:
    start(fleet, **{env.BROKER.name: env.FALLBACK})
    with force_broker(env.FALLBACK):
        later = app.send_task("behalf.body", [[1]], {"run": "revoked"}, countdown=12)
    fleet.valkey.pause()

    began = time.monotonic()
    later.revoke()

    assert time.monotonic() - began < 5
    fleet.valkey.resume()
    with force_broker(env.FALLBACK):
        app.send_task("behalf.body", [[2]], {"run": "kept"}, countdown=14)
    wait_for(lambda: fleet.executed("kept"), seconds=60, what="the other task")
    assert not fleet.executed("revoked")


def test_what_needs_redis_is_an_error_while_it_is_away(fleet: TinyFleet, app: Celery) -> None:
    fleet.valkey.pause()

    began = time.monotonic()
    with pytest.raises(ControlError, match="fleet status"):
        app.control.ping()

    assert time.monotonic() - began < 15
    fleet.valkey.resume()


@pytest.mark.parametrize("command", ["pool_grow", "pool_shrink"])
def test_what_has_no_place_says_what_has(fleet: TinyFleet, app: Celery, command: str) -> None:
    with pytest.raises(ControlError, match="fleet scale"):
        getattr(app.control, command)()


def test_a_purge_takes_what_waits_in_the_current_release(fleet: TinyFleet, app: Celery) -> None:
    for queue in ("high", "low"):
        app.send_task("anything", queue=queue)
    with force_broker(env.FALLBACK):
        app.send_task("anything", queue="low")

    assert app.control.purge() == 3

    assert (fleet.waiting("high", "r1"), fleet.waiting("low", "r1")) == (0, 0)
    assert fleet.waiting_on_sqs("low", "r1") == 0


def celery(fleet: TinyFleet, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tests.taskfleet.behalf_tasks:app", *arguments],
        env=fleet.environment(),
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    ).stdout


def test_celerys_command_line_reaches_the_fleet(fleet: TinyFleet, app: Celery) -> None:
    listening(fleet, app)

    assert "1 node online" in celery(fleet, "status")
    assert "broker" in next(iter(json.loads(celery(fleet, "inspect", "stats", "--json")).values()))
    assert "pong" in celery(fleet, "inspect", "ping")
    app.send_task("anything", queue="high")
    assert "Purged 1 message" in celery(fleet, "purge", "--force", "--queues", "high")


def test_revokes_are_kept_for_a_week_and_then_deleted(fleet: TinyFleet) -> None:
    now = 1_800_000_000.0
    dynamodb = fleet.aws.client("dynamodb")
    Revokes(dynamodb, fleet.name, clock=lambda: now).add("revoke", {"task_id": "one"})
    Revokes(dynamodb, fleet.name, clock=lambda: now + 1).add("revoke", {"task_id": "two"})

    (item,) = dynamodb.scan(TableName=names.state_table(fleet.name))["Items"]
    last = now + SLOT_SECONDS + KEEP_SECONDS
    assert len(item["asked"]["SS"]) == 2
    assert last <= int(item[state.EXPIRES]["N"]) <= last + 2 * SLOT_SECONDS
    assert Revokes(dynamodb, fleet.name, clock=lambda: now + KEEP_SECONDS).all()


def test_revokes_of_many_ids_are_kept_in_parts(fleet: TinyFleet) -> None:
    now = 1_800_000_000.0
    kept = Revokes(fleet.aws.client("dynamodb"), fleet.name, clock=lambda: now)
    kept.add("revoke", {"task_id": [f"{n:032}" for n in range(2 * MOST_IDS + 1)], "terminate": False})

    later = Revokes(fleet.aws.client("dynamodb"), fleet.name, clock=lambda: now + 3 * 24 * 3600)

    assert len(kept.newest()) == len(later.all()) == 3
    assert later.newest() == set()
