"""Redis answers, and says no: an outage like any other, which is over when it takes a write again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery
from taskfleet.errors import PublishError
from taskfleet.publishing.publisher import force_broker

from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.support.valkey import Valkey

NOBODY = ("127.0.0.1", "1")

Client = Any
# What makes Redis answer so, and what ends it.
REPLIES: dict[str, tuple[Callable[[Client], object], Callable[[Client], object]]] = {
    "NOREPLICAS": (
        lambda redis: redis.config_set("min-replicas-to-write", 1),
        lambda redis: redis.config_set("min-replicas-to-write", 0),
    ),
    "OOM": (lambda redis: redis.config_set("maxmemory", 1), lambda redis: redis.config_set("maxmemory", 0)),
    "NOPERM": (
        lambda redis: redis.execute_command("ACL", "SETUSER", "default", "-@scripting"),
        lambda redis: redis.execute_command("ACL", "SETUSER", "default", "+@scripting"),
    ),
    "READONLY": (lambda redis: redis.replicaof(*NOBODY), lambda redis: redis.replicaof("NO", "ONE")),
    "MASTERDOWN": (
        lambda redis: (redis.config_set("replica-serve-stale-data", "no"), redis.replicaof(*NOBODY)),
        lambda redis: redis.replicaof("NO", "ONE"),
    ),
}


def begin_a_script_that_does_not_end(fleet: TinyFleet) -> threading.Thread:
    """Somebody's; from then on Redis answers BUSY."""
    fleet.valkey.client().config_set("busy-reply-threshold", 10)

    def run() -> None:
        with pytest.raises(redis.RedisError):
            fleet.valkey.client().eval("while true do end", 0)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.1)
    return thread


@pytest.fixture
def app(fleet: TinyFleet) -> Celery:
    """A producer that is connected, and whose script Redis knows."""
    made = fleet.app()
    made.send_task("anything")
    return made


def refused_by_redis(app: Celery) -> str:
    with (
        force_broker("primary"),
        pytest.raises(PublishError, match="it will not run unless it is sent") as refused,
    ):
        app.send_task("anything")
    return str(refused.value)


def returns(fleet: TinyFleet, app: Celery) -> None:
    before = fleet.waiting("low", "r1")
    wait_for(lambda: app.send_task("anything") and fleet.waiting("low", "r1") > before, what="failback")


@pytest.mark.parametrize("reply", REPLIES)
def test_an_error_reply_sends_tasks_to_sqs_until_redis_takes_a_write(
    fleet: TinyFleet, app: Celery, reply: str
) -> None:
    begin, end = REPLIES[reply]
    begin(fleet.valkey.client())

    assert "Error: " in refused_by_redis(app)
    for _ in range(3):
        app.send_task("anything")

    assert fleet.waiting_on_sqs("low", "r1") == 3
    end(fleet.valkey.client())
    returns(fleet, app)


def test_so_does_somebodys_script_that_does_not_end(fleet: TinyFleet, app: Celery) -> None:
    script = begin_a_script_that_does_not_end(fleet)

    for _ in range(3):
        app.send_task("anything")

    assert fleet.waiting_on_sqs("low", "r1") == 3
    fleet.valkey.client().script_kill()
    script.join(10)
    returns(fleet, app)


@pytest.fixture
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Another node of the same broker."""
    server = Valkey(tmp_path_factory.mktemp("other"))
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("publishes", [1, 4], ids=["before the breaker opens", "after it opened"])
def test_a_primary_that_lives_on_as_a_replica_is_left_for_the_new_one(
    fleet: TinyFleet, app: Celery, other: Valkey, publishes: int
) -> None:
    """As after a failover on purpose: it is demoted in place, keeps its connections, and answers a PING."""
    fleet.valkey.client().execute_command("REPLICAOF", other.host, other.port)
    for _ in range(publishes):
        app.send_task("anything")
    assert fleet.waiting_on_sqs("low", "r1") == publishes

    fleet.front.move(other.port)

    def returned() -> bool:
        app.send_task("anything")
        return bool(other.client().llen("low.r1"))

    wait_for(returned, what="publishes on the new primary")
    on_sqs = fleet.waiting_on_sqs("low", "r1")
    for _ in range(5):
        app.send_task("anything")
    assert fleet.waiting_on_sqs("low", "r1") == on_sqs


def test_a_replica_does_not_answer_the_probe(fleet: TinyFleet, app: Celery, other: Valkey) -> None:
    """Or each second a publish would find out that it takes no write."""
    primary = app.taskfleet.publisher._primary
    assert primary.answers()

    fleet.valkey.client().execute_command("REPLICAOF", other.host, other.port)

    assert not primary.answers()
