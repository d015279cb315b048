"""An application that writes down each of Celery's signals; for `test_signals`, in stock and on the fleet."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, signals
from celery.utils.dispatch import Signal

from drills.tasks import journal

STOCK = "TESTS_STOCK"

app = Celery("signalling", set_as_current=False)
if not os.environ.get(STOCK):
    from taskfleet import install

    install(app)
else:
    app.conf.update(broker_connection_retry_on_startup=True, task_acks_late=True, task_ignore_result=True)


def _listen(name: str, signal: Signal) -> None:
    def heard(**arguments: Any) -> None:
        arguments.pop("signal", None)
        task = getattr(arguments.get("sender"), "name", None) if name.startswith("task_") else None
        journal.write("signal", name=name, arguments=sorted(arguments), task=task)

    signal.connect(heard, weak=False)


# A receiver of `setup_logging` replaces Celery's own set-up: a test of its own.
NAMES = sorted(set(signals.__all__) - {"setup_logging"})
for _name in NAMES:
    _listen(_name, getattr(signals, _name))


@app.task(name="signalling.good")
def good() -> None:
    journal.write("record", run="good", n=1)


@app.task(name="signalling.bad")
def bad() -> None:
    raise KeyError("order")


@app.task(name="signalling.again", bind=True)
def again(self: Any) -> None:
    if not self.request.retries:
        raise self.retry(countdown=0)


@app.task(name="signalling.expired", expires=0.0)
def expired() -> None:
    pass


@app.task(name="signalling.parent")
def parent() -> None:
    good.delay()
