"""The drills' application with a schedule: one firing in each ten seconds of the clock, for counting."""

from __future__ import annotations

import time
from typing import Any

from celery.schedules import BaseSchedule, schedstate

from drills.tasks.app import app

# Longer than a turn takes to change hands: Celery's beat makes up one firing, not several.
SECONDS, ENTRY = 10, "count-me"


class Slots(BaseSchedule):  # type: ignore[misc]
    """Due as a crontab is: in a slot of the clock in which it has not run yet."""

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self.seconds = seconds

    def is_due(self, last_run_at: Any) -> Any:
        """Now, or at the next slot."""
        now = time.time()
        due = now // self.seconds > last_run_at.timestamp() // self.seconds
        return schedstate(due, self.seconds - now % self.seconds)

    def __repr__(self) -> str:
        return f"<each {self.seconds} s of the clock>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slots) and other.seconds == self.seconds

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> Any:
        return type(self), (self.seconds,)


app.conf.beat_schedule = {
    ENTRY: {"task": "drills.record", "schedule": Slots(SECONDS), "kwargs": {"run": "beat", "n": 0}}
}
