"""What was put aside without being run has failed, for who waits for its result and for its error callbacks.

As in Celery, where such a message is dropped: a FAILURE in the result backend, the error of the chord that
it is part of, its ``link_error``. And a result that the backend did not take from the task's own process.
"""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from celery import Celery, states
from celery.app.task import Context
from celery.backends.redis import RedisBackend
from celery.exceptions import NotRegistered
from kombu.message import Message

from taskfleet.dead_letters.letter import Finding, Kind
from taskfleet.errors import DeadLettered
from taskfleet.logs import logger

# A worker's main loop never waits for the backend. What there is no room for is said in the log.
ROOM = 1000
AGAIN_SECONDS = 5.0
TRIES = 12


@dataclass(order=True)
class _Outcome:
    """``due_at`` on the monotonic clock; ``number`` keeps the order of those that are due at once."""

    due_at: float
    number: int
    record: Callable[[Any], object] = field(compare=False)
    tries: int = field(default=0, compare=False)


class Outcomes:
    """Records them in a thread of its own, each again and again for a minute while that fails.

    One that fails waits for its next time, and holds up none of the others.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._changed = threading.Condition()
        self._waiting: list[_Outcome] = []  # a heap
        self._numbers = count()
        self._thread: threading.Thread | None = None

    def failed(self, message: Message, finding: Finding) -> None:
        """Record that this message is not run. Raises nothing, whatever the message."""
        try:
            self._note_failure(message, finding)
        except Exception as error:  # noqa: BLE001 - what is wrong with the message may be wrong here, too
            logger.warning("the failure of a message that was put aside can't be recorded: %r", error)

    def ended(self, task_id: str, result: Any, context: Context) -> None:
        """Record the result of a task that has come to its end. Raises nothing."""
        try:
            self._note(lambda backend: backend.mark_as_done(task_id, result, request=context))
        except Exception as error:  # noqa: BLE001 - no room, no thread
            logger.error("the result of task %s is lost: %r", task_id, error)

    def counted(self, task_id: str, result: Any, context: Context) -> None:
        """Have a chord count a task whose process was killed after its result was stored. Raises nothing.

        Celery stores the result first, then counts it, then publishes the body: killed in between, no body
        ever ran. Counting in Redis is safe to repeat; other backends count each call.
        """
        if not isinstance(self._app.backend, RedisBackend):
            return
        try:
            self._note(lambda backend: backend.on_chord_part_return(context, states.SUCCESS, result))
        except Exception as error:  # noqa: BLE001 - no room, no thread
            logger.error("task %s can't be counted in its chord: %r", task_id, error)

    def not_stored(self, task_id: str, error: BaseException, context: Context, *, store: bool) -> None:
        """Record the failure of a task that was run. Raises nothing."""
        try:
            self._note(
                lambda backend: backend.mark_as_failure(task_id, error, request=context, store_result=store)
            )
        except Exception as failure:  # noqa: BLE001 - no room, no thread
            logger.error("the failure of task %s can't be recorded: %r", task_id, failure)

    def _note_failure(self, message: Message, finding: Finding) -> None:
        fields, options = _fields(message)
        task_id, name = fields.get("id"), fields.get("task")
        if not isinstance(task_id, str) or not task_id:
            return
        error = NotRegistered(name) if finding.kind is Kind.UNKNOWN_TASK else DeadLettered(finding.reason)
        context = Context({**fields, **options, "delivery_info": {}})
        self.not_stored(task_id, error, context, store=self._is_stored(fields, name))

    def _note(self, record: Callable[[Any], object]) -> None:
        """Raises ``queue.Full``, and ``RuntimeError`` if no thread can be started."""
        with self._changed:
            if len(self._waiting) >= ROOM:
                raise queue.Full
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="taskfleet-outcomes", daemon=True)
                thread.start()
                self._thread = thread
            self._add(_Outcome(time.monotonic(), next(self._numbers), record))

    def _add(self, outcome: _Outcome) -> None:
        """Held under the lock."""
        heapq.heappush(self._waiting, outcome)
        self._changed.notify()

    def _is_stored(self, fields: Mapping[str, Any], name: Any) -> bool:
        task = self._app.tasks.get(name) if isinstance(name, str) else None
        if task is not None and task.store_errors_even_if_ignored:
            return True
        ignored = fields.get("ignore_result")
        if ignored is None:
            ignored = self._app.conf.task_ignore_result if task is None else task.ignore_result
        return not ignored

    def _run(self) -> None:
        while True:
            outcome = self._next()
            try:
                outcome.record(self._app.backend)
            except Exception as error:  # noqa: BLE001 - any backend's error
                self._try_again(outcome, error)

    def _next(self) -> _Outcome:
        with self._changed:
            while (seconds := self._seconds_until_due()) > 0:
                self._changed.wait(seconds)
            return heapq.heappop(self._waiting)

    def _seconds_until_due(self) -> float:
        return self._waiting[0].due_at - time.monotonic() if self._waiting else threading.TIMEOUT_MAX

    def _try_again(self, outcome: _Outcome, error: Exception) -> None:
        outcome.tries += 1
        if outcome.tries >= TRIES:
            logger.error("a task's outcome could not be recorded, and is lost: %r", error)
            return
        logger.warning("a task's outcome can't be recorded yet: %r", error)
        outcome.due_at = time.monotonic() + AGAIN_SECONDS
        with self._changed:
            self._add(outcome)


def _fields(message: Message) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the message says of its task, wherever its protocol has that; and its callbacks and chord."""
    headers = message.headers if isinstance(message.headers, Mapping) else {}
    try:
        payload = message.payload
    except Exception:  # noqa: BLE001 - it may be here because it can't be read
        payload = None
    if "task" not in headers and isinstance(payload, Mapping):
        return {**payload, "args": payload.get("args")}, {}
    options = payload[2] if isinstance(payload, list | tuple) and len(payload) == 3 else {}
    return dict(headers), dict(options) if isinstance(options, Mapping) else {}
