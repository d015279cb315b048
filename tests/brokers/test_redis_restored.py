"""A broker that begins with another one's snapshot: what it has, what runs again, and what it never heard of.

ElastiCache's snapshots are such files (guide, "Exporting a backup"): what a server holds, and no log of it.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from taskfleet.brokers import PRIMARY_TRANSPORT
from taskfleet.contract import messages

from tests.brokers.celery_app import make_app
from tests.brokers.workers import Ledger, StartWorker
from tests.support.processes import wait_for
from tests.support.valkey import Valkey

OPTIONS = {"lease_seconds": 2, "socket_timeout": 2}
RUNNING_SECONDS = 1.5


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[Valkey]:
    """Not started yet: it takes the snapshot that lies in its folder then."""
    (tmp_path / "restored").mkdir()
    server = Valkey(tmp_path / "restored")
    yield server
    server.stop()


def test_all_that_was_queued_then_runs_again_and_what_came_later_is_unknown(
    valkey: Valkey, restored: Valkey, start_worker: StartWorker, ledger: Ledger, tmp_path: Path
) -> None:
    client = valkey.client()
    client.flushall()
    app = make_app(url=valkey.url, transport=PRIMARY_TRANSPORT, options={})
    worker = start_worker(url=valkey.url, transport=PRIMARY_TRANSPORT, options=OPTIONS, concurrency=1)

    app.send_task("note", ("done before",))
    ledger.wait("done before")
    wait_for(lambda: not client.exists("unacked"), what="its acknowledgement")
    app.send_task("slow", ("running", RUNNING_SECONDS))
    ledger.wait("begin running")
    app.send_task("note", ("waiting",))
    app.send_task("note", ("soon",), countdown=1)
    app.send_task("note", ("tomorrow",), countdown=24 * 3600)
    client.save()
    shutil.copy(Path(client.config_get("dir")["dir"]) / "dump.rdb", tmp_path / "restored")
    app.send_task("note", ("later",))
    ledger.wait("end running", "waiting", "soon", "later")
    worker.stop()

    restored.start()
    start_worker(url=restored.url, transport=PRIMARY_TRANSPORT, options=OPTIONS, concurrency=1)
    wait_for(lambda: ledger.lines().count("end running") == 2, seconds=30, what="its second run")
    wait_for(lambda: not restored.client().exists("unacked", "tests"), what="the last acknowledgement")

    twice = ("begin running", "end running", "waiting", "soon")
    assert Counter(ledger.lines()) == {**dict.fromkeys(twice, 2), "done before": 1, "later": 1}
    assert restored.client().zcard(messages.REDIS_SCHEDULED + "tests") == 1, "tomorrow's"
