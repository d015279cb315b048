"""An application whose configuration can't be right; for `test_enforced`."""

from __future__ import annotations

from celery import Celery
from taskfleet import install

app = install(Celery("misconfigured", set_as_current=False))
app.conf.task_acks_late = False
