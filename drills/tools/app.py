"""The tasks that these drills run; each writes what it did into the journal."""

from __future__ import annotations

import time
from typing import Any

from celery import Celery
from taskfleet import idempotency_key, install
from taskfleet.tools import batch, batch_keys, chunked, fence, limited, once, rate

from drills.tasks import journal

app = install(Celery("drill", set_as_current=False))
app.conf.task_default_queue = "low"

AT_ONCE, PER_SECOND, A_BATCH, LEASE_SECONDS = 2, 50, 20, 3.0


@app.task(name="drill.chunk", shared=False)
@chunked(lease_seconds=LEASE_SECONDS)
def chunk(first: int, last: int) -> None:
    """Work on each number of the chunk."""
    for n in range(first, last + 1):
        time.sleep(0.003)
        journal.write("did", n=n, key=idempotency_key())


@app.task(name="drill.held", shared=False)
@limited(AT_ONCE, wait_seconds=0.5, lease_seconds=LEASE_SECONDS)
def held(n: int) -> None:
    """Hold one of the places for a while."""
    began = time.time()
    time.sleep(0.3)
    journal.write("did", n=n, began=began, ended=time.time(), fence=fence())


@app.task(name="drill.rated", shared=False)
@rate(f"{PER_SECOND}/s")
def rated(n: int) -> None:
    """Begin at the rate."""
    journal.write("did", n=n)


@app.task(name="drill.batched", shared=False)
@batch(A_BATCH, seconds=1, by=("key",), lease_seconds=LEASE_SECONDS)
def batched(items: list[dict[str, Any]]) -> None:
    """Write down each item of the batch."""
    time.sleep(0.1)
    for item, key in zip(items, batch_keys(), strict=True):
        journal.write("did", n=item["n"], key=key, many=len(items))


@app.task(name="drill.paid", shared=False)
@once(by=("n",), wait_seconds=0.5)
def paid(n: int) -> None:
    """What must not be done twice."""
    time.sleep(0.02)
    journal.write("did", n=n)
