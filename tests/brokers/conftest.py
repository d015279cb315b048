"""Workers of the tests of the brokers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.workers import Ledger, StartWorker, Worker


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """What the tasks of this test wrote down."""
    return Ledger(tmp_path / "ledger")


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
