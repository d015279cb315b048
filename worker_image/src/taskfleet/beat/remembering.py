"""Celery's scheduler with its last runs in the state table: a container's own files go with it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Container
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from celery.beat import ScheduleEntry, Scheduler

from taskfleet import aws
from taskfleet.beat import runs
from taskfleet.beat.runs import FleetEntry, Run
from taskfleet.contract import names, state
from taskfleet.logs import logger
from taskfleet.releases.items import plain, wire

# A write after each firing, and no more of them than so: entries of a second's interval share one.
SAVE_EVERY_SECONDS = 2.0
_FIRINGS = uuid.UUID("5f0c6d52-52a5-4f0e-9b0d-0c7d0f2f6a11")


class RememberingScheduler(Scheduler):  # type: ignore[misc]
    """Nothing is written while it is another beat's turn (`taskfleet.beat.turn`): that one's notes hold."""

    Entry = FleetEntry

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._kept: dict[str, Run] | None = None  # as the table has it; None before its first turn
        self._changed, self._saved_at = True, float("-inf")
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """As Celery's; what fired is remembered."""
        wait: float = super().tick(*args, **kwargs)
        if self._changed and time.monotonic() - self._saved_at >= SAVE_EVERY_SECONDS:
            self._save()
        return min(wait, SAVE_EVERY_SECONDS) if self._changed else wait

    def reserve(self, entry: ScheduleEntry) -> ScheduleEntry:
        """As Celery's: the entry has run now."""
        self._changed = True
        return super().reserve(entry)

    def should_sync(self) -> bool:
        """Never in the middle of a firing, where Celery asks: whether it was accepted is not known there."""
        return False

    def sync(self) -> None:
        """Called by Celery at the end, when it may be another beat's turn: `give` notes what was sent."""

    def take(self, handed_over: bool) -> bool:
        """Go on from what was noted; False if it can't be read. ``handed_over``: by another, just now."""
        try:
            found = self._table().get_item(**self._key(), ConsistentRead=True).get("Item")
        except (BotoCoreError, ClientError) as error:
            logger.error("can't read when entries ran last, so none fires yet: %s", error)
            return False
        self._kept, self._changed = runs.from_item(plain(found) if found else None), True
        for name, entry in self.schedule.items():
            entry.last_run_at = (
                runs.resumed(entry, self._kept[name], handed_over=handed_over)
                if name in self._kept
                else entry.default_now()  # nothing of it was due before
            )
        self._heap = None  # Celery's tick calculates anew when each is due
        return True

    def give(self) -> bool:
        """Note what was sent, for another beat; whether it is noted."""
        return self._kept is None or not self._changed or self._save()

    def unsent(self) -> Container[str]:
        """Entries that fired and that no broker has accepted: if beat ends now, they are due again."""
        return ()

    def task_id(self, entry: ScheduleEntry) -> str:
        """One firing, one id: also if beat dies before it could note that it was sent, and sends it again."""
        environment = self.app.taskfleet.settings.environment
        return str(uuid.uuid5(_FIRINGS, f"{environment}/{entry.name}/{runs.of(entry).at!r}"))

    def _save(self) -> bool:
        if self._kept is None:
            return False
        self._saved_at = time.monotonic()
        unsent = self.unsent()
        now = runs.of_others(self._kept, self.schedule, now=time.time()) | {
            name: self._kept[name] if name in unsent and name in self._kept else runs.of(entry)
            for name, entry in self.schedule.items()
        }
        if now != self._kept:
            try:
                self._table().put_item(TableName=self._name(), Item=wire(runs.to_item(now)))
            except (BotoCoreError, ClientError) as error:
                logger.error("can't note when entries ran: %s", error)
                return False
        # What is unsent is noted once it is sent.
        self._kept, self._changed = now, any(name in unsent for name in self.schedule)
        return True

    def _table(self) -> Any:
        return aws.client("dynamodb", aws.PROMPT)

    def _name(self) -> str:
        return names.state_table(self.app.taskfleet.settings.environment)

    def _key(self) -> dict[str, Any]:
        return {"TableName": self._name(), "Key": wire({state.KEY: state.BEAT_RUNS})}
