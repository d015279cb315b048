"""Three builds of one application, which differ in what their tasks take."""

from __future__ import annotations

from typing import Any

from celery import Celery
from taskfleet import install

from drills.tasks import journal
from drills.tasks.scheduled import ENTRY, SECONDS, Slots

first, second, third = (install(Celery(name, set_as_current=False)) for name in ("first", "second", "third"))


def _ran(build: str, run: str, n: int, **more: Any) -> None:
    journal.write("record", run=run, n=n, build=build, **more)


# Each of one build only: a task is shared with every application of a process unless it says otherwise.
@first.task(name="builds.charge", shared=False)
def _charge_first(run: str, n: int, amount: int = 1) -> None:
    _ran("first", run, n, amount=amount)


@second.task(name="builds.charge", shared=False)
def _charge_second(run: str, n: int, amount: int = 1, currency: str = "EUR") -> None:
    """Takes all that the first takes, and calls what the first does not know."""
    _ran("second", run, n, amount=amount)
    second.tasks["builds.refund"].delay(run=f"{run}-refund", n=n)
    second.tasks["builds.note"].delay(run=f"{run}-note", n=n, text=currency)


@first.task(name="builds.note", shared=False)
def _note_first(run: str, n: int) -> None:
    _ran("first", run, n)


@second.task(name="builds.note", shared=False)
def _note_second(run: str, n: int, text: str = "") -> None:
    _ran("second", run, n, text=text)


@second.task(name="builds.refund", shared=False)
def _refund(run: str, n: int) -> None:
    _ran("second", run, n)


@third.task(name="builds.charge", shared=False)
def _charge_third(run: str, n: int, value: int = 1) -> None:
    _ran("third", run, n)


for _app in (first, second):
    _app.conf.beat_schedule = {
        ENTRY: {"task": "builds.note", "schedule": Slots(SECONDS), "kwargs": {"run": "beat", "n": 0}}
    }
