"""A worker on the Redis transport: nothing is lost when it dies, nothing runs twice while it lives."""

from __future__ import annotations

import time
from collections import Counter
from uuid import uuid4

import pytest
import redis
from taskfleet.brokers import PRIMARY_TRANSPORT
from taskfleet.contract import messages

from tests.brokers.celery_app import make_app
from tests.brokers.workers import Ledger, StartWorker
from tests.support.processes import wait_for
from tests.support.valkey import Valkey

# The lease is cut so that the tests are quick; nothing else follows from it.
OPTIONS = {"lease_seconds": 4, "socket_timeout": 3, "health_check_interval": 10}
ONE_RUNS_TWO_WAIT = {"concurrency": 1, "configuration": {"worker_prefetch_multiplier": 3}}
STOCK_OPTIONS = {"visibility_timeout": 4, "unacked_restore_throttle": 1, "unacked_restore_interval": 1}


@pytest.fixture
def client(valkey: Valkey) -> redis.Redis:
    """The broker, emptied."""
    client = valkey.client()
    client.flushall()
    return client


def _send(
    valkey: Valkey, name: str, *what: str, transport: str | None = PRIMARY_TRANSPORT, **options: object
) -> None:
    app = make_app(url=valkey.url, transport=transport, options={})
    for each in what:
        app.send_task(
            name, (each, *options.get("more", ())), queue="tests", countdown=options.get("countdown")
        )


def _left(client: redis.Redis) -> list[str]:
    """Everything that could still hold a message or say that one is held."""
    always = ("_kombu", "taskfleet:bell", "taskfleet:clock", messages.REDIS_SESSIONS, messages.REDIS_TAKEN)
    return [key for key in client.scan_iter() if not key.startswith(always)]


def test_all_run_once_and_nothing_is_left(
    valkey: Valkey, client: redis.Redis, start_worker: StartWorker, ledger: Ledger
) -> None:
    names = [str(number) for number in range(200)]
    _send(valkey, "note", *names)
    worker = start_worker(url=valkey.url, transport=PRIMARY_TRANSPORT, options=OPTIONS)

    ledger.wait(*names)
    wait_for(lambda: not _left(client), what="the last acknowledgement")
    worker.stop()

    assert Counter(ledger.lines()) == Counter(names)
    assert not _left(client)
    assert client.zcard(messages.REDIS_SESSIONS) == 0


def test_sigterm_returns_everything_at_once(
    valkey: Valkey, client: redis.Redis, start_worker: StartWorker, ledger: Ledger
) -> None:
    worker = start_worker(
        url=valkey.url, transport=PRIMARY_TRANSPORT, options=OPTIONS, **ONE_RUNS_TWO_WAIT
    ).wait_ready()
    _send(valkey, "slow", "running", more=(2,))
    ledger.wait("begin running")
    _send(valkey, "note", "later", "much later")
    wait_for(lambda: client.hlen("unacked") == 3, what="the fetch")

    worker.stop(seconds=10)

    assert client.llen("tests") == 2
    assert not client.exists("unacked", "unacked_index", messages.REDIS_IN_FLIGHT + "tests")
    first = client.lindex("tests", -1)
    assert first is not None
    assert f'"{messages.DELIVERIES_HEADER}": 0' in first


def test_a_killed_workers_messages_are_with_another_in_seconds(
    valkey: Valkey, client: redis.Redis, start_worker: StartWorker, ledger: Ledger
) -> None:
    worker = start_worker(
        url=valkey.url, transport=PRIMARY_TRANSPORT, options={"socket_timeout": 3}
    ).wait_ready()
    _send(valkey, "note", "c", countdown=14)
    _send(valkey, "slow", "a", "b", more=(3600,))
    ledger.wait("begin a", "begin b")
    wait_for(lambda: client.hlen("unacked") == 2, what="the fetch of both")
    start_worker(
        url=valkey.url, transport=PRIMARY_TRANSPORT, options={"socket_timeout": 3}, concurrency=3
    ).wait_ready()

    killed = time.monotonic()
    worker.kill()

    wait_for(lambda: Counter(ledger.lines())["begin a"] == 2, seconds=60, what="redelivery")
    ledger.wait("c")
    assert time.monotonic() - killed < 20
    assert Counter(ledger.lines()) == {"begin a": 2, "begin b": 2, "c": 1}
    assert client.zcard(messages.REDIS_IN_FLIGHT + "tests") == 2


def test_long_tasks_and_far_etas_are_not_run_twice(
    valkey: Valkey, client: redis.Redis, start_worker: StartWorker, ledger: Ledger
) -> None:
    options = OPTIONS | {
        "visibility_timeout": 4,
        "unacked_restore_throttle": 1,
        "unacked_restore_interval": 1,
    }
    for _ in range(2):
        start_worker(url=valkey.url, transport=PRIMARY_TRANSPORT, options=options).wait_ready()

    _send(valkey, "slow", "long", more=(9,))
    _send(valkey, "note", "far", countdown=9)

    ledger.wait("end long", "far")
    wait_for(lambda: not _left(client), what="the acknowledgements")
    assert Counter(ledger.lines()) == {"begin long": 1, "end long": 1, "far": 1}


def test_stock_kombu_runs_both_again(
    valkey: Valkey, client: redis.Redis, start_worker: StartWorker, ledger: Ledger
) -> None:
    """The contrast: one clock for all."""
    for _ in range(2):
        start_worker(url=valkey.url, transport=None, options=STOCK_OPTIONS).wait_ready()

    _send(valkey, "slow", "long", more=(9,))

    wait_for(lambda: Counter(ledger.lines())["begin long"] > 1, what="the second run")


def test_stock_producers_and_stock_workers_may_share_the_queues(
    valkey: Valkey, client: redis.Redis, start_worker: StartWorker, ledger: Ledger
) -> None:
    ours = start_worker(url=valkey.url, transport=PRIMARY_TRANSPORT, options=OPTIONS).wait_ready()
    stock = start_worker(
        url=valkey.url, transport=None, options=STOCK_OPTIONS | {"visibility_timeout": 60}
    ).wait_ready()
    names = [uuid4().hex for _ in range(400)]

    _send(valkey, "note", *names[::2], transport=None)
    _send(valkey, "note", *names[1::2])

    ledger.wait(*names)
    wait_for(lambda: not client.exists("unacked"), what="the acknowledgements")
    assert Counter(ledger.lines()) == Counter(names)
    assert ours.said("noted")
    assert stock.said("noted")


def test_what_we_gave_back_a_stock_worker_runs_and_the_reverse(
    valkey: Valkey, client: redis.Redis, start_worker: StartWorker, ledger: Ledger
) -> None:
    ours = start_worker(
        url=valkey.url, transport=PRIMARY_TRANSPORT, options=OPTIONS, **ONE_RUNS_TWO_WAIT
    ).wait_ready()
    _send(valkey, "slow", "running", more=(2,))
    ledger.wait("begin running")
    _send(valkey, "note", "ours first")
    wait_for(lambda: client.hlen("unacked") == 2, what="the fetch")
    ours.stop()
    stock = start_worker(url=valkey.url, transport=None, options=STOCK_OPTIONS).wait_ready()
    ledger.wait("ours first")
    # Else its entry is taken for the next one's, which a stock worker that is killed too early loses.
    wait_for(lambda: not client.exists("unacked"), what="its acknowledgement")

    _send(valkey, "note", "stock first", countdown=5, transport=None)
    wait_for(lambda: client.hlen("unacked") == 1, what="the fetch by stock")
    stock.kill()
    sweep = {"visibility_timeout": 2, "unacked_restore_throttle": 1, "unacked_restore_interval": 1}
    start_worker(url=valkey.url, transport=PRIMARY_TRANSPORT, options=OPTIONS | sweep)

    ledger.wait("stock first")
    ran = Counter(ledger.lines())
    assert (ran["ours first"], ran["stock first"]) == (1, 1)


def test_a_child_that_is_killed_for_ever_is_counted(
    valkey: Valkey, client: redis.Redis, start_worker: StartWorker, ledger: Ledger
) -> None:
    start_worker(url=valkey.url, transport=PRIMARY_TRANSPORT, options=OPTIONS).wait_ready()
    _send(valkey, "kill_child", "poison")

    wait_for(lambda: len(ledger.lines()) >= 3, seconds=60, what="three deaths")

    counts = [int(line.split()[-1]) for line in ledger.lines()]
    assert counts[:3] == [0, 1, 2]


def test_an_end_by_an_exception_counts_as_a_delivery(
    valkey: Valkey, client: redis.Redis, start_worker: StartWorker, ledger: Ledger
) -> None:
    """Celery's own consumer stumbles over this one."""
    client.lpush("tests", '{"body": 5, "properties": {}, "headers": {"task": "note"}}')

    worker = start_worker(url=valkey.url, transport=PRIMARY_TRANSPORT, options=OPTIONS)

    wait_for(lambda: worker.exited, seconds=60, what="its end")
    text = client.lindex("tests", -1)
    assert text is not None
    assert f'"{messages.DELIVERIES_HEADER}": 1' in text
