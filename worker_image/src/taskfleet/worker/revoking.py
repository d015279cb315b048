"""Honours revokes that were kept (`taskfleet.revokes`): at the start, and new ones within seconds."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from celery.worker import state
from celery.worker.control import Panel, _find_requests_by_id
from kombu.utils.functional import maybe_list

from taskfleet import aws
from taskfleet.contract.messages import REVOKED_HEADER
from taskfleet.logs import logger
from taskfleet.revokes import KEEP_SECONDS, Revokes

EVERY_SECONDS = 5.0


class Revoking:
    """Of one consumer. A thread reads; the main loop applies (`step`)."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._applied: set[str] = set()
        self._read: set[str] = set()
        self._complete = False
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        state.revoked.expires = KEEP_SECONDS

    def start(self) -> None:
        """Before the first message: what was asked for while this worker was not there."""
        if self._thread is None:
            self._look(aws.PROMPT)
            self.step()

    def stop(self) -> None:
        """Read no more."""
        self._over.set()

    def step(self) -> None:
        """Apply what is new, as if a broadcast had brought it; from the main loop."""
        if self._thread is None:
            self._thread = self._read_on()
        new, self._applied = self._read - self._applied, self._read | self._applied
        for entry in sorted(new):
            try:
                self._apply(*json.loads(entry))
            except Exception:  # noqa: BLE001 - one that can't be applied must not keep the others
                logger.exception("the revoke %s can't be applied", entry)

    def _read_on(self) -> threading.Thread | None:
        thread = threading.Thread(target=self._run, name="taskfleet-revokes", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # this process has as many threads as it may have
            logger.warning("no thread can be started to read revokes, trying on: %s", error)
            return None
        return thread

    def _apply(self, command: str, arguments: dict[str, Any]) -> None:
        """Celery's command asks the result backend of each id; here that is left to who fetches the task."""
        ids = set(maybe_list(arguments.get("task_id")) or ())
        state.revoked.update(ids)
        if command != "revoke" or (arguments.get("terminate") and any(_find_requests_by_id(ids))):
            Panel.data[command](_State(self._consumer), **arguments)

    def _run(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            self._look(aws.PATIENT)

    def _look(self, config: Any) -> None:
        environment = self._consumer.app.taskfleet.settings.environment
        try:
            kept = Revokes(aws.client("dynamodb", config), environment)
            self._read = kept.newest() if self._complete else kept.all()
        except Exception as error:  # noqa: BLE001 - whatever it is, a thread that ends reads no revoke any more
            logger.warning("revokes can't be read, trying on: %r", error)
        else:
            self._complete = True


def note(headers: Any) -> None:
    """A task that was revoked while it waited for a far ETA, longer ago than revokes are kept here."""
    if isinstance(headers, Mapping) and headers.get(REVOKED_HEADER):
        state.revoked.add(headers.get("id"))


class _State:
    """What Celery's control commands expect."""

    def __init__(self, consumer: Any) -> None:
        self.app, self.hostname, self.consumer = consumer.app, consumer.hostname, consumer
