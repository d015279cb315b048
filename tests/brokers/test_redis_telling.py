"""What became of a message reaches Redis, whatever fails on the way: else it never runs again, or twice."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

from taskfleet.brokers import PRIMARY_TRANSPORT
from taskfleet.contract import messages

from tests.brokers.celery_app import make_app
from tests.brokers.tcp_faults import FaultyTcp
from tests.brokers.workers import Ledger, StartWorker, Worker
from tests.support.processes import wait_for
from tests.support.valkey import Valkey

OPTIONS = {"lease_seconds": 6, "socket_timeout": 1, "socket_connect_timeout": 1}


def _worker(start_worker: StartWorker, valkey: Valkey, proxy: FaultyTcp, *, concurrency: int) -> Worker:
    url = valkey.url.replace(f":{valkey.port}/", f":{proxy.port}/")
    options = {"options": OPTIONS, "concurrency": concurrency}
    return start_worker(url=url, transport=PRIMARY_TRANSPORT, **options).wait_ready()


def _begin(valkey: Valkey, ledger: Ledger, what: str, seconds: float) -> None:
    app = make_app(url=valkey.url, transport=PRIMARY_TRANSPORT, options={})
    app.send_task("slow", (what, seconds), queue="tests")
    ledger.wait(f"begin {what}")


def _kill_children(worker: Worker) -> None:
    """Their tasks are rejected, and the messages go back."""
    main = worker.process.pid
    for child in Path(f"/proc/{main}/task/{main}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


def _wait_for_the_second_run(valkey: Valkey, ledger: Ledger) -> None:
    wait_for(lambda: ledger.lines() == ["begin victim"] * 2, seconds=60, what="the second run")
    [message] = valkey.client().hvals("unacked")
    assert f'"{messages.DELIVERIES_HEADER}": 1' in message


def test_what_is_rejected_after_its_channel_is_gone_runs_again(
    own_valkey: Valkey, proxy: FaultyTcp, start_worker: StartWorker, ledger: Ledger
) -> None:
    worker = _worker(start_worker, own_valkey, proxy, concurrency=2)
    _begin(own_valkey, ledger, "victim", 60)
    client = own_valkey.client()
    session = client.zrange(messages.REDIS_SESSIONS, 0, -1)
    proxy.cut()
    wait_for(lambda: client.zrange(messages.REDIS_SESSIONS, 0, -1) != session, what="the next channel")

    _kill_children(worker)

    _wait_for_the_second_run(own_valkey, ledger)


def test_what_is_rejected_while_redis_stalls_runs_again(
    own_valkey: Valkey, proxy: FaultyTcp, start_worker: StartWorker, ledger: Ledger
) -> None:
    worker = _worker(start_worker, own_valkey, proxy, concurrency=1)
    _begin(own_valkey, ledger, "victim", 60)

    client = own_valkey.client()
    client.client_pause(60_000, all=False)
    _kill_children(worker)
    wait_for(lambda: worker.said("Cannot acknowledge or return"), what="the failure")
    client.client_unpause()

    _wait_for_the_second_run(own_valkey, ledger)


def test_what_was_finished_in_a_lost_fetch_does_not_run_again(
    own_valkey: Valkey, proxy: FaultyTcp, start_worker: StartWorker, ledger: Ledger
) -> None:
    worker = _worker(start_worker, own_valkey, proxy, concurrency=1)
    _begin(own_valkey, ledger, "only", 1.5)
    proxy.drop()
    ledger.wait("end only")  # its acknowledgement rides with the next fetch
    wait_for(lambda: worker.said("did not answer in time"), what="the loss of that fetch")

    proxy.heal()

    wait_for(lambda: not own_valkey.client().exists("unacked"), seconds=60, what="the acknowledgement")
    time.sleep(2)
    assert Counter(ledger.lines()) == {"begin only": 1, "end only": 1}
