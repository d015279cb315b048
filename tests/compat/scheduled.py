"""The application of a beat: every way to say when something is due, once a second where that can be."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

from celery import Celery
from celery.beat import PersistentScheduler
from celery.schedules import crontab, schedule

from tests.compat import app as the_app
from tests.compat.app import mark
from tests.compat.periodic import stamped, tick

KEY, OWN = "COMPAT_BEAT_KEY", "COMPAT_BEAT_SCHEDULER"


def key(name: str) -> str:
    """Of the marks of one entry."""
    return f"{os.environ.get(KEY, 'beat')}.{name}"


class EachSecond(schedule):  # type: ignore[misc]
    """A schedule of one's own."""

    def __init__(self) -> None:
        super().__init__(timedelta(seconds=1))

    def __reduce__(self) -> Any:
        return type(self), ()


class Noting(PersistentScheduler):  # type: ignore[misc]
    """A scheduler of one's own."""

    def setup_schedule(self) -> None:
        """As Celery's."""
        mark(key("own-scheduler"), type(self).__name__)
        super().setup_schedule()


def entry(name: str, when: Any, **more: Any) -> dict[str, Any]:
    """One that leaves a mark under its name."""
    return {"task": tick.name, "schedule": when, "args": (key(name),), **more}


app = Celery("scheduled", include=the_app.INCLUDE)


@app.on_after_configure.connect
def after_configure(sender: Any, **_signal: Any) -> None:
    """The guide's first example."""
    sender.add_periodic_task(1.0, tick.s(key("added")), name="added each second")
    sender.add_periodic_task(crontab(), tick.s(key("added-crontab")), expires=10)


@app.on_after_finalize.connect
def after_finalize(sender: Any, **_signal: Any) -> None:
    """And its other one."""
    sender.add_periodic_task(1.0, tick.s(key("finalized")), name="added at the end")


the_app.configure(app, json.loads(os.environ.get(the_app.CONFIGURATION, "{}")))
app.conf.beat_schedule = {
    "seconds": entry("seconds", 1.0),
    "timedelta": entry("timedelta", timedelta(seconds=1)),
    "crontab": entry("crontab", crontab()),
    "own": entry("own", EachSecond()),
    "relative": entry("relative", timedelta(seconds=2), relative=True),
    "kwargs": {"task": tick.name, "schedule": 1.0, "kwargs": {"key": key("kwargs"), "what": "given"}},
    "options": {
        "task": stamped.name,
        "schedule": 1.0,
        "args": (key("options"),),
        "options": {"queue": "high", "headers": {"mine": "yes"}, "expires": 30},
    },
}
if OWN in os.environ:
    app.conf.beat_scheduler = "tests.compat.scheduled:Noting"
