"""Tasks for drills and tests: they misbehave in one known way each, and write down what they did.

They go wherever the caller says (``apply_async(queue=…)``), to the default queue otherwise.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from celery import group, shared_task
from taskfleet.contract.environment import BROKER, RELEASE

from drills.tasks import journal

# What `leak` took, until its child is replaced.
_leaked: list[bytearray] = []


@shared_task(name="drills.record", bind=True)
def record(self: Any, run: str, n: int, seconds: float = 0.0, **_later: object) -> None:
    """Run for ``seconds``, then write that number ``n`` of ``run`` was executed."""
    time.sleep(seconds)
    delivery = self.request.delivery_info or {}
    journal.write(
        "record",
        run=run,
        n=n,
        id=self.request.id,
        queue=delivery.get("routing_key"),
        broker=os.environ.get(BROKER.name),
        release=os.environ.get(RELEASE.name),
    )


@shared_task(name="drills.fail", bind=True)
def fail(self: Any, run: str, n: int, times: int, **_later: object) -> None:
    """Fail and be retried ``times`` times, then write that it was executed."""
    if self.request.retries < times:
        raise self.retry(countdown=0.1, exc=RuntimeError(f"failing, {self.request.retries + 1} of {times}"))
    record.run(run, n)


@shared_task(name="drills.leak")
def leak(run: str, n: int, mib: int = 20, seconds: float = 0.0, **_later: object) -> None:
    """Run for ``seconds`` and keep ``mib`` MiB for ever, as a leaking library does."""
    time.sleep(seconds)
    _leaked.append(bytearray(os.urandom(1024) * 1024 * mib))
    journal.write("record", run=run, n=n)


@shared_task(name="drills.die", bind=True)
def die(self: Any, run: str, n: int, times: int = 1, **_later: object) -> None:
    """SIGKILL the process that runs it, as the out-of-memory killer does, the first ``times`` times."""
    journal.write("dying", run=run, n=n, retries=self.request.retries)
    if self.request.retries < times:
        os.kill(os.getpid(), signal.SIGKILL)
    journal.write("record", run=run, n=n)


@shared_task(name="drills.total", ignore_result=False)
def total(numbers: list[int], run: str, n: int, **_later: object) -> int:
    """Add up, as the body of a chord does; the result is kept for whoever waits."""
    journal.write("record", run=run, n=n)
    return sum(numbers)


@shared_task(name="drills.spread")
def spread(run: str, children: int | list[int], queue: str | None = None, **_later: object) -> None:
    """Start a group of `record` tasks, as work that fans out does: so many, or one for each number."""
    numbers = range(children) if isinstance(children, int) else children
    group(record.si(run, n).set(queue=queue) for n in numbers).apply_async()
