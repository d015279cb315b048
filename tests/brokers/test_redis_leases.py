"""A lease is renewed by something that no task can starve, and ends with the worker all the same."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import redis
from taskfleet.brokers import PRIMARY_TRANSPORT

from tests.brokers.celery_app import make_app
from tests.brokers.workers import Ledger, StartWorker, Worker
from tests.support.processes import wait_for
from tests.support.valkey import Valkey

OPTIONS = {"lease_seconds": 3, "socket_timeout": 3, "renewing_process": True}


@pytest.fixture
def client(valkey: Valkey) -> redis.Redis:
    """The broker, emptied."""
    client = valkey.client()
    client.flushall()
    return client


def _send(valkey: Valkey, name: str, *arguments: object) -> None:
    make_app(url=valkey.url, transport=PRIMARY_TRANSPORT, options={}).send_task(
        name, arguments, queue="tests"
    )


def _start(start_worker: StartWorker, valkey: Valkey, **more: object) -> Worker:
    given = {"url": valkey.url, "transport": PRIMARY_TRANSPORT, "options": OPTIONS} | more
    return start_worker(**given).wait_ready()


@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_a_task_that_holds_pythons_lock_repeats_nothing(
    pool: str, valkey: Valkey, client: redis.Redis, start_worker: StartWorker, ledger: Ledger
) -> None:
    """Three leases long; another worker is there, which gets what has lapsed."""
    starved = _start(start_worker, valkey, pool=pool, concurrency=2)
    _send(valkey, "slow", "beside", 9)
    ledger.wait("begin beside")
    _send(valkey, "hold_the_lock", "starving", 9)
    ledger.wait("begin starving")
    _start(start_worker, valkey, pool=pool)

    ledger.wait("end beside", "end starving", seconds=40)
    wait_for(lambda: not client.exists("unacked"), seconds=60, what="the acknowledgements")
    ran = Counter(ledger.lines())
    assert ran == dict.fromkeys(ran, 1)
    assert not starved.exited


def test_children_that_are_busy_do_not_starve_their_parent(
    valkey: Valkey, client: redis.Redis, start_worker: StartWorker, ledger: Ledger
) -> None:
    """Four for each of the two processors of a small machine; without the renewing process."""
    prefork = {"options": OPTIONS | {"renewing_process": False}, "concurrency": 8}
    _start(start_worker, valkey, **prefork)
    _start(start_worker, valkey, **prefork | {"concurrency": 1})
    for number in range(8):
        _send(valkey, "compute", str(number), 7)

    ledger.wait(*(f"end {number}" for number in range(8)), seconds=60)
    ran = Counter(ledger.lines())
    assert ran == dict.fromkeys(ran, 1)


def test_a_worker_that_is_stopped_gives_way_and_its_renewing_process_ends_with_it(
    valkey: Valkey, client: redis.Redis, start_worker: StartWorker, ledger: Ledger
) -> None:
    stopped = _start(start_worker, valkey, pool="threads")
    _send(valkey, "slow", "orphan", 3600)
    ledger.wait("begin orphan")
    renewing = renewing_of(stopped)
    _start(start_worker, valkey, pool="threads")

    stopped.signal(signal.SIGSTOP)

    wait_for(lambda: Counter(ledger.lines())["begin orphan"] == 2, seconds=60, what="redelivery")
    assert renewing_of(stopped) == renewing
    stopped.process.kill()
    wait_for(lambda: not any(lives(pid) for pid in renewing), what="its end")


def renewing_of(worker: Worker, *, at_least: int = 1) -> list[int]:
    """The process beside it; never more than one."""
    found = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(worker.process.pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    pids = [int(line.split()[0]) for line in found.splitlines() if "renewing.py" in line]
    assert at_least <= len(pids) <= 1, found
    return pids


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
