"""Four builds of one application, which differ in what their tasks take, for rolling deploys."""

from __future__ import annotations

import taskfleet
from celery import Celery

from drills.tasks import journal
from drills.tasks.scheduled import ENTRY, SECONDS, Slots

first, second, third, fourth = (
    taskfleet.install(Celery(name, set_as_current=False)) for name in ("first", "second", "third", "fourth")
)


def _ran(app: Celery, run: str, n: int) -> None:
    journal.write("record", run=run, n=n, build=app.main)


# Each task is of one build only: it is shared with every application of a process unless it says otherwise.


@first.task(name="builds.charge", shared=False)
def _charge(run: str, n: int, amount: int = 1) -> None:
    _ran(first, run, n)


@first.task(name="builds.note", shared=False)
def _note(run: str, n: int) -> None:
    _ran(first, run, n)


def _takes_more(app: Celery) -> None:
    """All that the first takes, and calls of what the first does not know."""

    @app.task(name="builds.charge", shared=False)
    def charge(run: str, n: int, amount: int = 1, currency: str = "EUR") -> None:
        _ran(app, run, n)
        app.tasks["builds.refund"].delay(run=f"{run}-refund", n=n)
        app.tasks["builds.note"].delay(run=f"{run}-note", n=n, text=currency)

    @app.task(name="builds.note", shared=False)
    def note(run: str, n: int, text: str = "") -> None:
        _ran(app, run, n)

    @app.task(name="builds.refund", shared=False)
    def refund(run: str, n: int) -> None:
        _ran(app, run, n)


_takes_more(second)
_takes_more(fourth)


@third.task(name="builds.charge", shared=False)
def _charge_less(run: str, n: int, value: int = 1) -> None:
    _ran(third, run, n)


@fourth.task(name="builds.reaches_the_database", shared=False)
@taskfleet.gate
def _check() -> None:
    raise ConnectionError("no route to the database")


for _app in (first, second, fourth):
    _app.conf.beat_schedule = {
        ENTRY: {"task": "builds.note", "schedule": Slots(SECONDS), "kwargs": {"run": "beat", "n": 0}}
    }
