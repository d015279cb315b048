"""Workers killed at full rate, at random moments. Stock kombu loses a message at about every fourth kill."""

from __future__ import annotations

import os
import random
import time

from taskfleet.brokers import PRIMARY_TRANSPORT

from tests.brokers.celery_app import make_app
from tests.brokers.workers import Ledger, StartWorker
from tests.support.processes import wait_for
from tests.support.valkey import Valkey

KILLS = int(os.environ.get("TASKFLEET_TEST_KILLS", "3"))
TASKS_PER_KILL = 1500
OPTIONS = {"lease_seconds": 3, "socket_timeout": 3}


def test_nothing_is_lost(valkey: Valkey, start_worker: StartWorker, ledger: Ledger) -> None:
    client = valkey.client()
    client.flushall()
    app = make_app(url=valkey.url, transport=PRIMARY_TRANSPORT, options={})
    names: list[str] = []
    workers = [start_worker(url=valkey.url, transport=PRIMARY_TRANSPORT, options=OPTIONS) for _ in range(2)]
    for kill in range(KILLS):
        done_before = len(ledger.lines())
        batch = [f"{kill}-{number}" for number in range(TASKS_PER_KILL)]
        with app.producer_pool.acquire() as producer:
            for name in batch:
                app.send_task("note", (name,), queue="tests", producer=producer)
        names += batch
        wait_for(lambda before=done_before: len(ledger.lines()) > before + 200, seconds=60, what="full rate")
        time.sleep(random.random() / 4)
        workers.pop(0).kill()
        workers.append(start_worker(url=valkey.url, transport=PRIMARY_TRANSPORT, options=OPTIONS))

    ledger.wait(*names, seconds=60)
    wait_for(lambda: not client.exists("unacked", "tests"), seconds=60, what="the last acknowledgement")
    lines = ledger.lines()
    assert set(lines) == set(names)
    # At most what a worker may hold is run twice: two that ran, two that were fetched to follow.
    assert len(lines) - len(names) <= 4 * KILLS
