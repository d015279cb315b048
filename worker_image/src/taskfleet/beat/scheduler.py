"""Celery's scheduler, bounded: it never waits for a broker, and owes what no broker accepted."""

from __future__ import annotations

import copy
import time
import uuid
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from celery.beat import PersistentScheduler, ScheduleEntry, SchedulingError

from taskfleet import aws, health
from taskfleet.contract import names, state
from taskfleet.logs import logger

SAY_ALIVE_EVERY_SECONDS = 15.0
OWED_AGAIN_SECONDS = 5.0


class FleetScheduler(PersistentScheduler):  # type: ignore[misc]
    """Named by ``beat_scheduler`` (`taskfleet.config.beat`)."""

    # Celery's would connect here, and wait until it can; the fleet's producer needs none.
    producer = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._said_alive_at = float("-inf")
        self._owed: dict[str, ScheduleEntry] = {}
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """One turn: say that it lives, pay what is owed, fire what is due. Returns seconds until the next."""
        health.stamp("running")
        self._say_alive()
        for name in list(self._owed):
            self._fire(self._owed.pop(name))
        wait: float = super().tick(*args, **kwargs)
        return min(wait, OWED_AGAIN_SECONDS) if self._owed else wait

    def apply_entry(self, entry: ScheduleEntry, producer: object = None) -> None:
        """Publish it; if no broker accepts it, try again soon. A later firing replaces one owed.

        A firing has one task id, however often it is tried: a broker may have taken a try that failed.
        """
        firing = copy.copy(entry)
        firing.options = {"task_id": str(uuid.uuid4()), **entry.options}
        self._fire(firing)

    def _fire(self, firing: ScheduleEntry) -> None:
        try:
            result = self.apply_async(firing, advance=False)
        except SchedulingError as error:
            logger.error("entry %s is due and was not accepted, trying again: %s", firing.name, error)
            self._owed[firing.name] = firing
        else:
            logger.info("entry %s: sent %s as %s", firing.name, firing.task, result.id)

    def _say_alive(self) -> None:
        now = time.monotonic()
        if now - self._said_alive_at < SAY_ALIVE_EVERY_SECONDS:
            return
        self._said_alive_at = now
        try:
            aws.client("dynamodb", aws.PROMPT).put_item(
                TableName=names.state_table(self.app.taskfleet.settings.environment),
                Item={state.KEY: {"S": state.BEAT}, "at": {"N": repr(time.time())}},
            )
        except (BotoCoreError, ClientError) as error:
            logger.error("can't say that beat lives: %s", error)
