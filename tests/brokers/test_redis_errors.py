"""Redis answers with an error, whatever it is: a worker waits until it does not, and goes on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import redis
from taskfleet.brokers import PRIMARY_TRANSPORT

from tests.brokers.celery_app import make_app
from tests.brokers.workers import Ledger, StartWorker
from tests.support.processes import wait_for
from tests.support.valkey import Valkey

OPTIONS = {"lease_seconds": 6, "socket_timeout": 2, "socket_connect_timeout": 2}


@contextlib.contextmanager
def _too_few_replicas(valkey: Valkey) -> Iterator[str]:
    client = valkey.client()
    client.config_set("min-replicas-to-write", "1")
    yield "NOREPLICAS"
    client.config_set("min-replicas-to-write", "0")


@contextlib.contextmanager
def _no_leave(valkey: Valkey) -> Iterator[str]:
    client = valkey.client()
    client.execute_command("ACL", "SETUSER", "default", "-eval", "-evalsha")
    yield "no permissions"
    client.execute_command("ACL", "SETUSER", "default", "+@all")


@contextlib.contextmanager
def _busy(valkey: Valkey) -> Iterator[str]:
    """With somebody's script that does not end."""
    client, other = valkey.client(), redis.Redis.from_url(valkey.url, socket_timeout=60)
    client.config_set("busy-reply-threshold", "100")

    def run() -> None:
        with contextlib.suppress(redis.exceptions.RedisError):
            other.eval("while true do end", 0)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield "BUSY"
    client.script_kill()
    thread.join(10)


def test_a_worker_waits_them_out(own_valkey: Valkey, start_worker: StartWorker, ledger: Ledger) -> None:
    app = make_app(url=own_valkey.url, transport=PRIMARY_TRANSPORT, options={})
    worker = start_worker(url=own_valkey.url, transport=PRIMARY_TRANSPORT, options=OPTIONS).wait_ready()

    for fault in (_too_few_replicas, _no_leave, _busy):
        with fault(own_valkey) as says:
            wait_for(lambda says=says: worker.said(says) or worker.exited, what=f"the worker to hear {says}")
            assert not worker.exited, says
        app.send_task("note", (says,), queue="tests")
        ledger.wait(says, seconds=30)
    assert not worker.exited


def test_one_that_starts_meanwhile_waits_too(
    own_valkey: Valkey, start_worker: StartWorker, ledger: Ledger
) -> None:
    with _no_leave(own_valkey) as says:
        worker = start_worker(url=own_valkey.url, transport=PRIMARY_TRANSPORT, options=OPTIONS)
        wait_for(lambda: worker.said(says) or worker.exited, seconds=60, what=f"the worker to hear {says}")
        assert not worker.exited
    make_app(url=own_valkey.url, transport=PRIMARY_TRANSPORT, options={}).send_task(
        "note", ("after",), queue="tests"
    )
    ledger.wait("after", seconds=30)
