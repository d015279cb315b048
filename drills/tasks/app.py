"""The application of a drill's producers. Workers have the team's, with these tasks beside its own."""

from __future__ import annotations

from celery import Celery
from taskfleet import install

from drills.tasks import MODULES

app = install(Celery("drills", include=list(MODULES)))
