"""A team's tasks that use the tools; they record in the journal what ran, and when."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import Celery
from taskfleet import idempotency_key, install
from taskfleet.tools import Busy, Pipeline, batch, batch_keys, chunked, fence, limited, once, rate, single

from drills.tasks import journal

RESULTS = "TOOLS_RESULTS"
KILLED = "TOOLS_KILLED"

app = install(Celery("tools", set_as_current=False))
app.conf.update(task_default_queue="low", result_backend=os.environ.get(RESULTS))


def _work(n: int, seconds: float = 0.0, **facts: Any) -> None:
    began = time.time()
    journal.write("works", n=n)
    time.sleep(seconds)
    journal.write("worked", n=n, began=began, ended=time.time(), **facts)


@app.task(name="tools.alone", shared=False)
@single(wait_seconds=0.5, lease_seconds=3)
def alone(n: int, seconds: float = 0.0) -> int:
    _work(n, seconds, fence=fence())
    return n


@app.task(name="tools.two", shared=False, bind=True)
@limited(2, by=("account",), wait_seconds=0.5)
def two(self: Any, n: int, account: str) -> int:
    _work(n, 1.0, account=account, retries=self.request.retries, expires=self.request.expires)
    return n


@app.task(name="tools.total", shared=False)
def total(each: list[int]) -> int:
    return sum(each)


@app.task(name="tools.dropped", shared=False)
@single(name="alone-too", on_busy="drop")
def dropped(n: int, seconds: float = 0.0) -> None:
    _work(n, seconds)


@app.task(name="tools.refused", shared=False, autoretry_for=(Busy,), max_retries=0)
@single(name="alone-too", on_busy="raise")
def refused(n: int) -> None:
    _work(n)


@app.task(name="tools.killed", shared=False)
@single(name="killed", wait_seconds=0.5, lease_seconds=3)
def killed(n: int, place: str) -> None:
    """Its first run is killed in the middle."""
    first = not Path(place).exists()
    Path(place).touch()
    journal.write("began", n=n, fence=fence(), at=time.time())
    if first:
        os.kill(os.getpid(), signal.SIGKILL)
    _work(n)


@app.task(name="tools.paid", shared=False)
@once(by=("order",), wait_seconds=0.5)
def paid(n: int, order: int, seconds: float = 0.0) -> str:
    _work(n, seconds, order=order)
    return f"{order} paid by {n}"


@app.task(name="tools.fails_first", shared=False, bind=True, max_retries=3)
@once()
def fails_first(self: Any, n: int) -> int:
    journal.write("tried", n=n)
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    _work(n)
    return n


@app.task(name="tools.slow_bank", shared=False)
@rate("20/s", by=("bank",))
def slow_bank(n: int, bank: str) -> None:
    journal.write("called", n=n, bank=bank, at=time.time())


@app.task(name="tools.hourly", shared=False)
@rate("1/h")
def hourly(n: int) -> None:
    journal.write("called", n=n, at=time.time())


@app.task(name="tools.counts", shared=False)
@chunked(lease_seconds=3)
def counts(first: int, last: int) -> None:
    """Publishes one task for each of its integers, each under an id that every try of the chunk gives it."""
    for n in range(first, last + 1):
        small.apply_async((n,), task_id=f"{idempotency_key()}-{n}")
    if first == 31 and os.environ.get(KILLED) and not Path(os.environ[KILLED]).exists():
        Path(os.environ[KILLED]).touch()
        os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="tools.small", shared=False)
def small(n: int) -> None:
    journal.write("small", n=n, key=idempotency_key())


@app.task(name="tools.pages", shared=False, bind=True, max_retries=2)
@chunked()
def pages(self: Any, after: int) -> int | None:
    """A page of ten rows of forty, from a cursor."""
    journal.write("page", after=after)
    return after + 10 if after < 30 else None


@app.task(name="tools.paced", shared=False)
@chunked(feeds="etl", most_waiting=3)
def paced(first: int, last: int) -> None:
    """Feeds a queue that nobody consumes."""
    for n in range(first, last + 1):
        small.apply_async((n,), queue="etl")


@app.task(name="tools.indexed", shared=False)
@batch(5, seconds=2, by=("shop",), lease_seconds=3)
def indexed(items: list[dict[str, Any]]) -> list[int]:
    """Items with ``fails`` fail; the first batch that has one with ``kills`` is killed."""
    numbers, keys = [item["n"] for item in items], batch_keys()
    kills = [item["kills"] for item in items if item.get("kills")]
    if kills and not Path(kills[0]).exists():
        Path(kills[0]).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    journal.write("batch", shop=items[0]["shop"], numbers=numbers, keys=keys, at=time.time())
    if any(item.get("raises") for item in items):
        raise ValueError("one of them")
    return [place for place, item in enumerate(items) if item.get("fails")]


etl = Pipeline("etl", "tools.extract", "tools.transform", "tools.load", lease_seconds=3)


@app.task(name="tools.extract", shared=False, queue="etl")
@etl.stage
def extract(reference: dict[str, Any]) -> dict[str, Any]:
    return _stage("extract", reference)


@app.task(name="tools.transform", shared=False, queue="low", max_retries=0)
@etl.stage
def transform(reference: dict[str, Any]) -> dict[str, Any]:
    """The first run of an item with ``kills`` is killed; one with ``fails`` fails while the file is there."""
    if reference.get("kills") and not Path(reference["kills"]).exists():
        Path(reference["kills"]).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if reference.get("fails") and Path(reference["fails"]).exists():
        raise ValueError("the bank says no")
    return _stage("transform", reference)


@app.task(name="tools.load", shared=False, queue="high")
@etl.stage
def load(reference: dict[str, Any]) -> None:
    _stage("load", reference)


def _stage(name: str, reference: dict[str, Any]) -> dict[str, Any]:
    journal.write("stage", name=name, n=reference["n"], seen=reference.get("seen", []))
    return {**reference, "seen": [*reference.get("seen", []), name]}
