"""An application whose beat fires once in each five seconds of the clock."""

from __future__ import annotations

import time
from typing import Any

from celery import Celery
from celery.schedules import BaseSchedule, schedstate
from taskfleet import install
from taskfleet.beat import scheduler, turn

SLOT_SECONDS = 5
turn.LOOK_SECONDS = scheduler.LOOK_SECONDS = 0.2


class Slots(BaseSchedule):  # type: ignore[misc]
    """As a crontab is due: in a slot in which it has not run yet."""

    def is_due(self, last_run_at: Any) -> Any:
        """Now, or at the next slot."""
        now = time.time()
        due = now // SLOT_SECONDS > last_run_at.timestamp() // SLOT_SECONDS
        return schedstate(due, SLOT_SECONDS - now % SLOT_SECONDS)

    def __repr__(self) -> str:
        return "<slots>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slots)

    __hash__ = None  # type: ignore[assignment]


app = install(Celery("turning", set_as_current=False))
app.conf.task_default_queue = "low"
app.conf.beat_schedule = {
    "slot": {"task": "shop.slot", "schedule": Slots()},
    "skips": {"task": "shop.skips", "schedule": Slots(), "catch_up": False},
}
