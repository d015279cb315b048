"""The other ways to run tasks side by side, where the main loop is another one."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from taskfleet.brokers import PRIMARY_TRANSPORT
from taskfleet.contract import messages

from tests.brokers.celery_app import make_app
from tests.brokers.workers import Ledger, StartWorker
from tests.support.processes import wait_for
from tests.support.valkey import Valkey

OPTIONS = {"lease_seconds": 4, "socket_timeout": 3}


@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_a_pool_holds_and_finishes(
    pool: str, valkey: Valkey, start_worker: StartWorker, ledger: Ledger
) -> None:
    client = valkey.client()
    client.flushall()
    app = make_app(url=valkey.url, transport=PRIMARY_TRANSPORT, options={})
    for _ in range(2):
        start_worker(
            url=valkey.url, transport=PRIMARY_TRANSPORT, options=OPTIONS, pool=pool, concurrency=4
        ).wait_ready()

    for number in range(4):
        app.send_task("slow", (f"long {number}", 7), queue="tests")
    began = time.monotonic()
    names = [f"short {number}" for number in range(100)]
    for name in names:
        app.send_task("note", (name,), queue="tests")

    ledger.wait(*names)
    assert time.monotonic() - began < 7, "the free slots must not wait for the long tasks"
    ledger.wait(*(f"end long {number}" for number in range(4)))
    wait_for(
        lambda: not client.exists("unacked", messages.REDIS_IN_FLIGHT + "tests"),
        what="the last acknowledgement",
    )
    ran = Counter(ledger.lines())
    assert ran == dict.fromkeys(ran, 1)


@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_a_killed_pool_gives_back(
    pool: str, valkey: Valkey, start_worker: StartWorker, ledger: Ledger
) -> None:
    client = valkey.client()
    client.flushall()
    app = make_app(url=valkey.url, transport=PRIMARY_TRANSPORT, options={})
    worker = start_worker(
        url=valkey.url, transport=PRIMARY_TRANSPORT, options=OPTIONS, pool=pool
    ).wait_ready()
    app.send_task("slow", ("task", 3600), queue="tests")
    ledger.wait("begin task")
    start_worker(url=valkey.url, transport=PRIMARY_TRANSPORT, options=OPTIONS, pool=pool).wait_ready()

    worker.kill()

    wait_for(lambda: Counter(ledger.lines())["begin task"] == 2, seconds=60, what="redelivery")
