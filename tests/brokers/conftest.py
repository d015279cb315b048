"""Workers of the tests of the brokers, and ways to both brokers that can fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.http_faults import FaultySqs
from tests.brokers.tcp_faults import FaultyTcp
from tests.brokers.workers import Ledger, StartWorker, Worker
from tests.support.ministack import MiniStack
from tests.support.valkey import Valkey


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """What the tasks of this test wrote down."""
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def proxy(own_valkey: Valkey) -> Iterator[FaultyTcp]:
    """The way to the broker."""
    proxy = FaultyTcp(own_valkey.port)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def faults(aws_environment: MiniStack) -> Iterator[FaultySqs]:
    """The door to SQS, which can be shut."""
    proxy = FaultySqs(aws_environment.port)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def start_worker(tmp_path: Path, ledger: Ledger) -> Iterator[StartWorker]:
    """Start workers that write into ``ledger``; whatever is left is killed afterwards."""
    workers: list[Worker] = []

    def start(**options: Any) -> Worker:
        workers.append(Worker(tmp_path, ledger=ledger, **options))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()
