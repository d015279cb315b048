"""The broker goes away in every way it can; the workers lose nothing and repeat nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import pytest
from taskfleet.brokers import PRIMARY_TRANSPORT
from taskfleet.contract import messages

from tests.brokers.celery_app import make_app
from tests.brokers.tcp_faults import FaultyTcp
from tests.brokers.workers import Ledger, StartWorker, Worker
from tests.support.processes import wait_for
from tests.support.valkey import Valkey

LEASE_SECONDS = 6
OPTIONS = {"lease_seconds": LEASE_SECONDS, "socket_timeout": 2, "socket_connect_timeout": 2}
# Longer than the lease: whoever counted wall-clock time would now give everything to others.
OUTAGE_SECONDS = LEASE_SECONDS + 2


def _worker(start_worker: StartWorker, valkey: Valkey, port: int | None = None, **options: object) -> Worker:
    url = valkey.url.replace(f":{valkey.port}/", f":{port or valkey.port}/")
    return start_worker(url=url, transport=PRIMARY_TRANSPORT, options=OPTIONS, **options).wait_ready()


def _send(valkey: Valkey, name: str, *arguments: object, countdown: float | None = None) -> None:
    app = make_app(url=valkey.url, transport=PRIMARY_TRANSPORT, options={})
    app.send_task(name, arguments, queue="tests", countdown=countdown)


def _kill(valkey: Valkey) -> Callable[[], None]:
    valkey.kill()
    return valkey.start


def _hang(valkey: Valkey) -> Callable[[], None]:
    valkey.pause()
    return valkey.resume


@pytest.mark.parametrize("fault", [_kill, _hang])
def test_the_living_keep_what_they_hold_over_an_outage(
    fault: Callable[[Valkey], Callable[[], None]],
    own_valkey: Valkey,
    start_worker: StartWorker,
    ledger: Ledger,
) -> None:
    for _ in range(2):
        _worker(start_worker, own_valkey)
    _send(own_valkey, "note", "far", countdown=OUTAGE_SECONDS + 6)
    _send(own_valkey, "slow", "ends in the outage", 4)
    _send(own_valkey, "slow", "ends after it", OUTAGE_SECONDS + 7)
    ledger.wait("begin ends in the outage", "begin ends after it")
    time.sleep(1.2)  # appendfsync everysec

    end_outage = fault(own_valkey)
    time.sleep(OUTAGE_SECONDS)
    end_outage()

    ledger.wait("end ends after it", "far", seconds=60)
    _send(own_valkey, "note", "new")
    ledger.wait("new", seconds=40)
    wait_for(lambda: not own_valkey.client().exists("unacked"), seconds=60, what="the last acknowledgement")
    ran = Counter(ledger.lines())
    assert ran == dict.fromkeys(ran, 1)
    assert ran["end ends in the outage"] == 1


def test_a_cut_connection_repeats_nothing(
    own_valkey: Valkey, proxy: FaultyTcp, start_worker: StartWorker, ledger: Ledger
) -> None:
    for _ in range(2):
        _worker(start_worker, own_valkey, proxy.port)
    _send(own_valkey, "slow", "running", 6)
    _send(own_valkey, "note", "far", countdown=8)
    ledger.wait("begin running")

    for _ in range(4):
        proxy.cut()
        time.sleep(1)

    ledger.wait("end running", "far", seconds=40)
    wait_for(lambda: not own_valkey.client().exists("unacked"), seconds=60, what="the last acknowledgement")
    assert Counter(ledger.lines()) == {"begin running": 1, "end running": 1, "far": 1}


def test_peers_that_vanish_without_a_word_are_noticed(
    own_valkey: Valkey, proxy: FaultyTcp, start_worker: StartWorker, ledger: Ledger
) -> None:
    _worker(start_worker, own_valkey, proxy.port)
    _send(own_valkey, "note", "before")
    ledger.wait("before")

    proxy.half_open()
    _send(own_valkey, "note", "after")

    ledger.wait("after", seconds=30)


def test_dropped_packets_for_a_while_lose_nothing(
    own_valkey: Valkey, proxy: FaultyTcp, start_worker: StartWorker, ledger: Ledger
) -> None:
    _worker(start_worker, own_valkey, proxy.port)
    _send(own_valkey, "slow", "running", OUTAGE_SECONDS - 4)
    ledger.wait("begin running")

    proxy.drop()
    _send(own_valkey, "note", "meanwhile")
    time.sleep(OUTAGE_SECONDS)
    proxy.heal()

    ledger.wait("end running", "meanwhile", seconds=40)
    wait_for(lambda: not own_valkey.client().exists("unacked"), seconds=60, what="the last acknowledgement")
    assert Counter(ledger.lines()) == {"begin running": 1, "end running": 1, "meanwhile": 1}


def test_a_worker_that_is_cut_off_gives_way_and_comes_back(
    own_valkey: Valkey, proxy: FaultyTcp, start_worker: StartWorker, ledger: Ledger
) -> None:
    alone = _worker(start_worker, own_valkey, proxy.port)
    _send(own_valkey, "slow", "held", 12)
    ledger.wait("begin held")
    other = _worker(start_worker, own_valkey)

    proxy.drop()
    wait_for(lambda: ledger.lines().count("begin held") == 2, seconds=60, what="the other one's fetch")
    proxy.heal()

    wait_for(lambda: ledger.lines().count("end held") == 2, seconds=60, what="both ends")
    other.stop()
    _send(own_valkey, "note", "again")
    ledger.wait("again", seconds=40)
    assert not alone.exited


def test_sigterm_is_heard_while_redis_hangs(
    own_valkey: Valkey, start_worker: StartWorker, ledger: Ledger
) -> None:
    worker = _worker(start_worker, own_valkey, heartbeat=True)
    _send(own_valkey, "note", "before")
    ledger.wait("before")
    own_valkey.pause()
    time.sleep(3)

    began = time.monotonic()
    worker.stop(seconds=40)

    assert time.monotonic() - began < 20
    own_valkey.resume()


def test_a_server_that_is_demoted_does_not_end_the_worker(
    own_valkey: Valkey, start_worker: StartWorker, ledger: Ledger
) -> None:
    worker = _worker(start_worker, own_valkey)
    client = own_valkey.client()

    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    time.sleep(3)
    client.execute_command("REPLICAOF", "NO", "ONE")

    _send(own_valkey, "note", "after")
    ledger.wait("after", seconds=40)
    assert not worker.exited


def test_a_full_broker_is_still_drained(
    own_valkey: Valkey, start_worker: StartWorker, ledger: Ledger
) -> None:
    for number in range(20):
        _send(own_valkey, "note", str(number))
    client = own_valkey.client()
    client.config_set("maxmemory", "1mb")

    _worker(start_worker, own_valkey)

    ledger.wait(*map(str, range(20)))
    wait_for(lambda: not client.exists("unacked"), what="the acknowledgements")
    assert client.zcard(messages.REDIS_SESSIONS) == 1
