"""``python -m benchmarks.fetch``: kombu's Redis transport against ours, worker for worker, without a fleet.

No-op tasks a second through one worker of two slots, from the moment that it works, and how long a task
waits for an idle worker. Both are measured in turn, on one Valkey of its own, in each of several rounds.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskfleet.brokers import PRIMARY_TRANSPORT

from drills.tally import percentile
from tests.brokers.celery_app import make_app
from tests.brokers.workers import Ledger, Worker
from tests.support.valkey import Valkey

TASKS, ROUNDS, PINGS = 6000, 3, 150
LEAST_TIMES_STOCK = 1.1
KINDS: dict[str, str | None] = {"stock": None, "ours": PRIMARY_TRANSPORT}


def main() -> int:
    """Measure, print, and exit with 1 if ours is slower than it must be."""
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    waits: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as directory, _valkey(Path(directory)) as valkey:
        for _ in range(ROUNDS):
            for kind, transport in KINDS.items():
                rates[kind].append(_rate(valkey, transport, Path(directory)))
                waits[kind] += _waits(valkey, transport, Path(directory))
    for kind in KINDS:
        p50, p99 = (1000 * (percentile(waits[kind], percent) or 0.0) for percent in (50.0, 99.0))
        each = ", ".join(f"{rate:.0f}" for rate in rates[kind])
        print(f"{kind}: {each} no-ops a second; idle latency p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    ratio = statistics.median(rates["ours"]) / statistics.median(rates["stock"])
    print(f"ours against stock: {ratio:.2f} times (at least {LEAST_TIMES_STOCK})")
    return 0 if ratio >= LEAST_TIMES_STOCK else 1


@contextmanager
def _valkey(directory: Path) -> Iterator[Valkey]:
    valkey = Valkey(directory)
    valkey.start()
    try:
        yield valkey
    finally:
        valkey.stop()


def _rate(valkey: Valkey, transport: str | None, directory: Path) -> float:
    client = valkey.client()
    client.flushall()
    app = make_app(url=valkey.url, transport=transport, options={})
    with app.producer_pool.acquire() as producer:
        for _ in range(TASKS):
            app.send_task("noop", (), queue="tests", producer=producer)
    with _worker(valkey, transport, directory):
        at_start, began = _when_below(client, TASKS * 0.85)
        at_end, ended = _when_below(client, TASKS * 0.02)
    return (at_start - at_end) / (ended - began)


def _when_below(client: object, length: float) -> tuple[int, float]:
    while (left := client.llen("tests")) > length:  # type: ignore[attr-defined]
        time.sleep(0.002)
    return left, time.monotonic()


def _waits(valkey: Valkey, transport: str | None, directory: Path) -> list[float]:
    valkey.client().flushall()
    app = make_app(url=valkey.url, transport=transport, options={})
    with _worker(valkey, transport, directory) as ledger, app.producer_pool.acquire() as producer:
        for number in range(PINGS):
            app.send_task("arrived", (time.time(),), queue="tests", producer=producer)
            while len(ledger.lines()) <= number:
                time.sleep(0.005)
    return [float(line) for line in ledger.lines()]


@contextmanager
def _worker(valkey: Valkey, transport: str | None, directory: Path) -> Iterator[Ledger]:
    ledger = Ledger(Path(tempfile.mkdtemp(dir=directory)) / "ledger")
    worker = Worker(directory, url=valkey.url, transport=transport, ledger=ledger)
    try:
        yield ledger
    finally:
        worker.kill()


if __name__ == "__main__":
    sys.exit(main())
