"""An application whose source has a finding, and a task that no pool has a queue for."""

from __future__ import annotations

import os

from celery import Celery
from taskfleet import install

app = install(Celery("regretted", set_as_current=False))
if "REGRETTED_LINT" in os.environ:
    app.conf.taskfleet_lint = os.environ["REGRETTED_LINT"]


@app.task(expires=None, shared=False)
def endless() -> None:
    """Waits for ever."""


@app.task(queue="nowhere", shared=False)
def lost() -> None:
    """Goes where nobody looks."""
