"""What waits for its ETA waits in Redis: no worker holds it, nothing behind it waits, and it runs in time."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu import Connection, Producer
from kombu.entity import Queue
from taskfleet.brokers import PRIMARY_TRANSPORT
from taskfleet.brokers.redis.commands import Commands, Keys, Lease
from taskfleet.contract import messages

from tests.brokers.celery_app import make_app
from tests.brokers.workers import Ledger, StartWorker, Worker
from tests.support.processes import wait_for
from tests.support.valkey import Valkey

DUE, TEXTS = messages.REDIS_SCHEDULED + "tests", messages.REDIS_SCHEDULED_MESSAGES + "tests"
STOCK = None


@pytest.fixture
def client(valkey: Valkey) -> redis.Redis:
    """The broker, emptied."""
    client = valkey.client()
    client.flushall()
    return client


@pytest.fixture
def commands(valkey: Valkey, client: redis.Redis) -> Commands:
    """The scripts, and two sessions, `a` and `b`."""
    made = Commands(redis.Redis.from_url(valkey.url), Keys("unacked", "unacked_index", ""), Lease())
    made.settle("", "a")
    made.settle("", "b")
    return made


def _message(seconds: float, name: str = "m", **more: object) -> dict[str, object]:
    eta = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    return {"body": name, "headers": {"eta": eta}, "properties": {"delivery_tag": name}, **more}


def _publish(commands: Commands, seconds: float, name: str = "m", priority: int = 0) -> None:
    commands.publish("tests", priority, _message(seconds, name), replicas=0, wait_ms=0)


def _fetch(commands: Commands, session: str = "a", many: int = 1) -> list[bytes]:
    """The answer, without the time in that of messages."""
    reply = commands.fetch(
        session=session,
        number=1,
        many=many,
        queues=["tests"],
        priorities=(0, 3, 6, 9),
        rotate=False,
        acknowledge=(),
    )
    return reply if len(reply) == 1 else reply[:-1]


def _send(valkey: Valkey, name: str, *arguments: object, transport: str | None, **options: object) -> None:
    app = make_app(url=valkey.url, transport=transport, options={})
    app.send_task(name, arguments, queue="tests", **options)


def _worker(start_worker: StartWorker, valkey: Valkey) -> Worker:
    options = {"lease_seconds": 4, "socket_timeout": 3}
    return start_worker(url=valkey.url, transport=PRIMARY_TRANSPORT, options=options).wait_ready()


def _memory_mib(worker: Worker) -> float:
    pages = Path(f"/proc/{worker.process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096 / 1024**2


def test_it_keeps_its_priority_and_its_text_once(commands: Commands, client: redis.Redis) -> None:
    _publish(commands, 3600, "far", priority=6)
    _publish(commands, 0.02, "near", priority=6)
    _publish(commands, -1, "past", priority=9)

    assert client.hlen(TEXTS) == client.zcard(DUE) == 2
    assert client.llen("tests") == 0
    time.sleep(0.03)
    near, past = _fetch(commands, many=5)[2::3]
    assert (json.loads(near)["body"], json.loads(past)["body"]) == ("near", "past")
    assert client.hget(TEXTS, "far").startswith(f'6:{{"{messages.REDIS_ACCEPTED}"')


def test_a_publish_that_the_client_sends_twice_is_one_message(
    commands: Commands, client: redis.Redis
) -> None:
    for _ in range(2):
        _publish(commands, 3600)

    assert (client.hlen(TEXTS), client.zcard(DUE)) == (1, 1)


def test_one_idle_worker_wakes_for_the_next_one_and_not_all(commands: Commands, client: redis.Redis) -> None:
    (idle,) = _fetch(commands)
    _publish(commands, 0.5)
    (first,), (second,) = _fetch(commands), _fetch(commands, "b")

    assert idle == second == 1000
    assert 300 < first <= 500
    assert _fetch(commands)[0] <= first, "it is still the one"
    _publish(commands, 0.2, "sooner")
    assert _fetch(commands, "b")[0] <= 200
    time.sleep(0.5)
    assert len(_fetch(commands, "b", many=5)) == 6


def test_whoever_was_to_wake_and_died_is_no_loss(commands: Commands, client: redis.Redis) -> None:
    _publish(commands, 0.3)
    assert _fetch(commands)[0] <= 300
    commands.settle("a", "")

    time.sleep(0.3)
    assert len(_fetch(commands, "b")) == 3


def test_it_waits_on_a_full_broker_and_is_fetched_all_the_same(
    own_valkey: Valkey,
) -> None:
    client = own_valkey.client()
    commands = Commands(redis.Redis.from_url(own_valkey.url), Keys("unacked", "unacked_index", ""), Lease())
    commands.settle("", "a")
    _publish(commands, 0.05)
    client.config_set("maxmemory", "1mb")

    with pytest.raises(redis.exceptions.OutOfMemoryError):
        _publish(commands, 60, "more")
    time.sleep(0.05)
    assert len(_fetch(commands)) == 3


def test_a_stock_producers_far_one_is_put_back_as_it_was(valkey: Valkey, client: redis.Redis) -> None:
    far = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    with Connection(valkey.url) as stock:
        for number in range(5):
            Producer(stock.default_channel).publish(
                f"far {number}", routing_key="tests", headers={"eta": far}, priority=9
            )
        Producer(stock.default_channel).publish("now", routing_key="tests", priority=9)
    got: list[Any] = []
    with Connection(valkey.url, transport=PRIMARY_TRANSPORT) as connection:
        channel = connection.channel()
        channel.basic_qos(0, 1, False)
        with connection.Consumer([Queue("tests")], channel=channel, on_message=got.append):
            while not got:
                connection.drain_events(timeout=2)
        assert [message.payload for message in got] == ["now"]
        assert channel._size("tests") == 5
        assert client.hlen("unacked") == 1
        (first, *_) = sorted(client.hvals(TEXTS))
        assert first.startswith('9:{"')
        assert f'"{messages.DELIVERIES_HEADER}"' not in first
        assert channel.queue_purge("tests") == 5
    assert not client.exists(DUE, TEXTS)


@pytest.mark.parametrize("transport", [PRIMARY_TRANSPORT, STOCK])
def test_many_far_ones_hold_up_nothing_and_no_worker_holds_them(
    valkey: Valkey, client: redis.Redis, start_worker: StartWorker, ledger: Ledger, transport: str | None
) -> None:
    worker = _worker(start_worker, valkey)
    before = _memory_mib(worker)
    app = make_app(url=valkey.url, transport=transport, options={})
    with app.producer_pool.acquire() as producer:
        for number in range(1200):
            app.send_task("note", (f"{number}" + "x" * 50_000,), countdown=600, producer=producer)

    _send(valkey, "note", "now", transport=transport)

    ledger.wait("now")
    assert client.zcard(DUE) == 1200
    wait_for(lambda: not client.hlen("unacked"), what="the acknowledgement")
    assert _memory_mib(worker) - before < 30
    assert client.memory_usage(TEXTS, samples=0) < 1.1 * 1200 * 50_000 * 4 / 3  # each once, in kombu's base64


@pytest.mark.parametrize("transport", [PRIMARY_TRANSPORT, STOCK])
def test_it_runs_in_time_once_while_workers_are_killed(
    valkey: Valkey, client: redis.Redis, start_worker: StartWorker, ledger: Ledger, transport: str | None
) -> None:
    workers = [_worker(start_worker, valkey) for _ in range(2)]
    began = time.time()
    app = make_app(url=valkey.url, transport=transport, options={})
    due = {f"{number}": 1 + number / 10 for number in range(60)}
    for name, seconds in due.items():
        app.send_task(
            "arrived_in_time", (name, began + seconds), eta=datetime.fromtimestamp(began + seconds, UTC)
        )
    while time.time() < began + 5:
        time.sleep(1)
        workers.pop(0).kill()
        workers.append(_worker(start_worker, valkey))

    wait_for(lambda: {line.split()[0] for line in ledger.lines()} == set(due), seconds=60, what="all of them")
    wait_for(lambda: not client.exists(DUE, TEXTS, "tests", "unacked"), what="nothing left")
    late = {line.split()[0]: float(line.split()[1]) for line in ledger.lines()}
    assert min(late.values()) > -0.1
    ran = Counter(line.split()[0] for line in ledger.lines())
    assert set(ran.values()) <= {1, 2}
    again = [name for name, count in ran.items() if count > 1]
    assert len(again) <= 4, "only what a killed worker held just then may run again"


def test_an_idle_worker_is_in_time(
    valkey: Valkey, client: redis.Redis, start_worker: StartWorker, ledger: Ledger
) -> None:
    _worker(start_worker, valkey)
    app = make_app(url=valkey.url, transport=PRIMARY_TRANSPORT, options={})
    for seconds in (0.3, 1.5, 2.2):
        at = time.time() + seconds
        app.send_task("arrived_in_time", (f"{seconds}", at), countdown=seconds)

    wait_for(lambda: len(ledger.lines()) == 3, what="all three")
    assert all(-0.1 < float(line.split()[1]) < 1 for line in ledger.lines())
