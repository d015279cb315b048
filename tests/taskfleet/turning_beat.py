"""An application whose beat fires once in each five seconds of the clock."""

from __future__ import annotations

from celery import Celery
from taskfleet import install
from taskfleet.beat import scheduler, turn

from drills.tasks.scheduled import Slots

SLOT_SECONDS = 5
turn.LOOK_SECONDS = scheduler.LOOK_SECONDS = 0.2  # type: ignore[attr-defined]

app = install(Celery("turning", set_as_current=False))
app.conf.task_default_queue = "low"
app.conf.beat_schedule = {
    "slot": {"task": "shop.slot", "schedule": Slots(SLOT_SECONDS)},
    "skips": {"task": "shop.skips", "schedule": Slots(SLOT_SECONDS), "catch_up": False},
}
