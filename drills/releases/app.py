"""The application of these drills: one argument has another name in each release than in its neighbours.

A task of ``r3`` that is called as one of ``r2`` is a `TypeError`, as it is in any team's code.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from celery import Celery
from taskfleet import idempotency_key, install
from taskfleet.beat import etas
from taskfleet.contract.environment import BROKER, RELEASE
from taskfleet.contract.messages import PUBLISHED_AT_HEADER, RELEASE_HEADER

from drills.tasks import journal

RESULTS = "TASKFLEET_DRILL_RESULTS"
RETRIES = 2
CHILDREN = 2
TICK_SECONDS = 1.0

# Scaled: a far ETA is one of ten seconds here, not of ten minutes.
etas.LEAD_SECONDS, etas.LOOK_SECONDS = 3.0, 0.5  # type: ignore[attr-defined]

# A task of a bad release, by its function's name: it runs, and fails then.
FAILS = "TASKFLEET_DRILL_FAILS"

# A broker's URL, with which the same tasks are an application of stock Celery (`benchmarks.deploy`).
PLAIN = "TASKFLEET_DRILL_PLAIN"

app = Celery("releases", set_as_current=False)
if PLAIN in os.environ:
    app.conf.broker_url = os.environ[PLAIN]
else:
    install(app)
app.conf.result_backend = os.environ.get(RESULTS)
app.conf.task_default_queue = "low"
app.conf.task_acks_late = True
app.conf.beat_schedule = {"tick": {"task": "releases.tick", "schedule": TICK_SECONDS}}


def argument(release: str) -> str:
    """What the tasks of a release call the argument that its neighbours call otherwise."""
    return ("order", "order_id")[int(release.removeprefix("r")) % 2]


def arguments(release: str) -> dict[str, str]:
    """The keyword arguments of a task for a release: its id, so that the task knows what was meant."""
    return {argument(release): release}


def _of_its_release(function: Callable[..., Any]) -> Callable[..., Any]:
    """The task, with the signature that it has in the release that runs it."""

    @functools.wraps(function)
    def task(self: Any, *args: Any, **given: Any) -> Any:
        wanted = argument(os.environ[RELEASE.name])
        if set(given) != {wanted}:
            run, n, number = args[-3:]
            journal.write("failed", run=run, n=n, task=number)
            raise TypeError(f"{function.__name__}() takes {wanted!r}, and was called with {sorted(given)}")
        return function(self, *args, meant=given[wanted])

    return task


def _did(task: Any, run: str, n: int, number: int, meant: str | None) -> None:
    journal.write(
        "did",
        run=run,
        n=n,
        task=number,
        meant=meant,
        stamped=(task.request.headers or {}).get(RELEASE_HEADER),
        release=os.environ.get(RELEASE.name),
        broker=os.environ.get(BROKER.name),
        key=idempotency_key(),
    )


# `typing`: the producer must not hold a call for one release to the signature of another.
@app.task(name="releases.step", bind=True, shared=False, typing=False)
@_of_its_release
def step(self: Any, run: str, n: int, number: int, *, meant: str) -> int:
    """Write down that it ran."""
    _did(self, run, n, number, meant)
    return number


@app.task(name="releases.header", bind=True, shared=False, typing=False, ignore_result=False)
@_of_its_release
def header(self: Any, run: str, n: int, number: int, *, meant: str) -> int:
    """As `step`, in a chord's header."""
    _did(self, run, n, number, meant)
    return number


@app.task(name="releases.body", bind=True, shared=False, typing=False)
@_of_its_release
def body(self: Any, results: list[int], run: str, n: int, number: int, *, meant: str) -> None:
    """As `step`, once the headers have run."""
    _did(self, run, n, number, meant)


@app.task(name="releases.flaky", bind=True, shared=False, typing=False, max_retries=RETRIES)
@_of_its_release
def flaky(self: Any, run: str, n: int, number: int, *, meant: str) -> None:
    """Fail `RETRIES` times, then end."""
    if self.request.retries < RETRIES:
        raise self.retry(countdown=0.5, exc=RuntimeError("fails on purpose"))
    _did(self, run, n, number, meant)


@app.task(name="releases.parent", bind=True, shared=False, typing=False)
@_of_its_release
def parent(self: Any, run: str, n: int, number: int, *, meant: str) -> None:
    """Publish `CHILDREN` as the code of this release calls them."""
    for child in range(1, 1 + CHILDREN):
        step.apply_async(
            (run, n, child), arguments(os.environ[RELEASE.name]), task_id=f"{idempotency_key()}-{child}"
        )
    _did(self, run, n, number, meant)


@app.task(name="releases.plain", bind=True, shared=False)
def plain(self: Any, run: str, n: int, number: int) -> None:
    """A task whose signature does not change."""
    _did(self, run, n, number, None)
    if os.environ.get(FAILS) == "plain":
        raise RuntimeError("bad code")


@app.task(name="releases.tick", bind=True, shared=False)
def tick(self: Any) -> None:
    """A firing of beat."""
    headers = self.request.headers or {}
    journal.write(
        "tick",
        release=os.environ.get(RELEASE.name),
        broker=os.environ.get(BROKER.name),
        key=idempotency_key(),
        published_at=headers.get(PUBLISHED_AT_HEADER, 0.0),
    )
