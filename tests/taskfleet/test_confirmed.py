"""Publishing to confirmed queues: a publish returns when a replica has it, or goes to SQS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from taskfleet.errors import PublishError
from taskfleet.publishing.publisher import force_broker

from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.support.valkey import Valkey


@pytest.fixture
def replica(fleet: TinyFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A replica of the fleet's broker, in sync."""
    server = Valkey(tmp_path_factory.mktemp("replica"), replica_of=fleet.valkey)
    server.start()
    wait_until_in_sync(server)
    yield server
    server.stop()


@pytest.fixture
def app(fleet: TinyFleet) -> Celery:
    """A producer for a release whose queue `etl` is confirmed."""
    fleet.deploy("r2", confirmed=("etl",))
    fleet.promote("r2")
    return fleet.app()


def wait_until_in_sync(replica: Valkey) -> None:
    def in_sync() -> bool:
        info: Any = replica.client().info("replication")
        return bool(info["master_link_status"] == "up")

    wait_for(in_sync, what="the replica's link")


def test_what_was_published_survives_the_primarys_end_at_once(
    fleet: TinyFleet, app: Celery, replica: Valkey
) -> None:
    with force_broker("primary"):
        for _ in range(20):
            app.send_task("anything", queue="etl")
    fleet.valkey.kill()

    assert replica.client().llen("etl.r2") == 20


def test_without_a_replica_a_confirmed_publish_goes_to_sqs_and_others_stay(
    fleet: TinyFleet, app: Celery
) -> None:
    took = []
    for _ in range(6):
        began = time.monotonic()
        app.send_task("anything", queue="etl")
        took.append(time.monotonic() - began)
        app.send_task("anything", queue="low")

    assert fleet.waiting_on_sqs("etl", "r2") == 6
    assert (fleet.waiting("low", "r2"), fleet.waiting_on_sqs("low", "r2")) == (6, 0)
    # The first ones are in Redis as well: they were not confirmed, and once is less than at least once.
    assert fleet.waiting("etl", "r2") < 6
    assert min(took[2:]) < 0.1, "its breaker is open: nobody waits for the replica"


def test_a_replica_that_is_back_takes_confirmed_publishes_again(
    fleet: TinyFleet, app: Celery, replica: Valkey
) -> None:
    replica.pause()
    for _ in range(3):
        app.send_task("anything", queue="etl")
    assert fleet.waiting_on_sqs("etl", "r2") == 3

    replica.resume()

    def returned() -> bool:
        before = fleet.waiting_on_sqs("etl", "r2")
        app.send_task("anything", queue="etl")
        return fleet.waiting_on_sqs("etl", "r2") == before

    wait_for(returned, what="confirmed publishes on Redis again")


def test_a_publish_that_no_replica_confirmed_says_that_it_may_run(fleet: TinyFleet, app: Celery) -> None:
    with force_broker("primary"), pytest.raises(PublishError, match="it may run all the same") as refused:
        app.send_task("anything", queue="etl")

    assert refused.value.may_run
    assert fleet.waiting("etl", "r2") == 1


def test_a_publish_that_nobody_was_given_says_that_it_will_not_run(fleet: TinyFleet, app: Celery) -> None:
    fleet.valkey.kill()
    fleet.front.refuse()

    with force_broker("primary"):
        with pytest.raises(PublishError):  # on the connection that was open: it may have been written
            app.send_task("anything", queue="low")
        for _ in range(3):  # refused by the machine, then by the open breaker
            with pytest.raises(PublishError, match="it will not run unless it is sent again") as refused:
                app.send_task("anything", queue="low")
            assert not refused.value.may_run


def test_a_publish_that_hung_after_the_write_says_that_it_may_run(fleet: TinyFleet, app: Celery) -> None:
    with force_broker("primary"):
        app.send_task("anything", queue="low")
        fleet.valkey.pause()
        with pytest.raises(PublishError) as refused:
            app.send_task("anything", queue="low")
        fleet.valkey.resume()

    assert refused.value.may_run
    wait_for(lambda: fleet.waiting("low", "r2") == 2, what="the publish that was not accepted, all the same")
