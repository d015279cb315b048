"""Ten thousand replaced children: what counts their tasks grows neither in memory nor on disk."""

from __future__ import annotations

import gc
import os
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.worker.state import task_ready
from kombu import Message
from taskfleet.contract import figures
from taskfleet.worker.measured import Meter, measure

CHILDREN, FIRST = 10_000, 1_000
MOST_BYTES = 32 * 1024
# No process has such an id: a child that has ended is not there any more when it is looked at.
NO_PID = 2**22 + 1


@pytest.fixture
def meter() -> Meter:
    return Meter(SimpleNamespace(versioned_queues=("low.r1",), queues=("low",), execution="prefork"))


@pytest.fixture
def task(meter: Meter) -> Any:
    app = Celery(set_as_current=False)
    app.task(name="shop.report")(_nothing)
    app.finalize()
    measure(app.tasks["shop.report"], meter)
    return app.tasks["shop.report"]


def runs(task: Any, many: int, *, first: int) -> None:
    """As many runs, each by a child of its own, and every tenth ends with it."""
    for number in range(first, first + many):
        message = Message(
            body="[[], {}, {}]",
            headers={"id": str(number), "task": task.name, "lang": "py"},
            properties={"correlation_id": str(number)},
            delivery_info={"routing_key": "low.r1", "priority": 0},
            content_type="application/json",
            content_encoding="utf-8",
        )
        request = task.Request(
            message, app=task.app, task=task, hostname="h", on_ack=_nothing, on_reject=_nothing
        )
        request.on_accepted(os.getpid() if number % 2 else NO_PID + number, time.monotonic())
        how = figures.LOST if number % 10 == 0 else figures.SUCCEEDED
        request._count(how)
        task_ready(request)  # as Celery does at every end


def _nothing(*_: object, **__: object) -> None:
    """No broker is here to be told."""


@pytest.fixture
def measured_memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def kept() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.skipif(sys.platform != "linux", reason="counts open files in /proc")
def test_ten_thousand_children_leave_nothing_behind(
    meter: Meter, task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured_memory: None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("taskfleet.worker.measured.MEMORY_EVERY_SECONDS", 0.0)  # each child is looked at
    runs(task, FIRST, first=0)
    meter.tally.take()
    before, files = kept(), len(os.listdir("/proc/self/fd"))

    runs(task, CHILDREN - FIRST, first=FIRST)

    grown = kept() - before
    assert grown < MOST_BYTES, f"{grown} bytes more"
    assert len(os.listdir("/proc/self/fd")) == files
    assert list(tmp_path.iterdir()) == []
    counts = meter.tally.totals()["low", "shop.report"]
    assert counts[f"{figures.OUTCOME}:{figures.SUCCEEDED}"] == CHILDREN * 9 // 10
    assert counts[f"{figures.OUTCOME}:{figures.LOST}"] == CHILDREN // 10
    looked_at = sum(n for figure, n in counts.items() if figure.startswith("memory:") and "sum" not in figure)
    assert looked_at == CHILDREN // 2, "the others had ended"
