"""What was put aside without being run has failed, for who waits for its result and for its error callbacks.

As in Celery, where such a message is dropped: a FAILURE in the result backend, the error of the chord that
it is part of, its ``link_error``. And a result that the backend did not take from the task's own process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery, states
from celery.app.task import Context
from celery.backends.redis import RedisBackend
from celery.exceptions import NotRegistered
from kombu.message import Message
from kombu.utils.encoding import safe_repr

from taskfleet.dead_letters.dead_letter import DeadLetterKind, Finding
from taskfleet.errors import DeadLettered
from taskfleet.logs import logger
from taskfleet.publishing.stored import NotStored
from taskfleet.worker.recording import Outcome, Recorder

Accepted = Callable[[], object]


class Outcomes:
    """Of one worker, recorded in the background. Each method raises nothing but what ``accepted`` raises.

    ``accepted`` is called once the message may be acknowledged: at once, or later if very many wait already.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._recorder = Recorder()

    def step(self) -> None:
        """From the main loop, about once a second."""
        self._recorder.step()

    def close(self) -> None:
        """This worker is about to end."""
        self._recorder.close()

    def failed(self, message: Message, finding: Finding, accepted: Accepted | None = None) -> None:
        """Record that this message is not run, whatever is in it."""
        try:
            outcome = self._failure(message, finding)
        except Exception as error:  # noqa: BLE001 - what is wrong with the message may be wrong here, too
            logger.warning("the failure of a message that was put aside can't be recorded: %r", error)
            outcome = None
        if outcome is not None:
            outcome.accepted = accepted
            self._recorder.add(outcome)
        elif accepted is not None:
            accepted()

    def ended(self, task_id: str, result: Any, context: Context, accepted: Accepted) -> None:
        """Record the result of a task that has come to its end."""

        def store() -> None:
            self._backend(context).mark_as_done(task_id, result, request=context)

        def say_why_not(cause: str) -> None:
            """As in Celery, where whoever waits for the result hears why there is none."""
            self._backend(context).store_result(task_id, NotStored(cause, None), states.FAILURE)

        self._recorder.add(
            Outcome(
                what=f"the result of task {task_id}",
                record=store,
                instead=say_why_not,
                accepted=accepted,
                size=len(safe_repr(result)),
            )
        )

    def counted(self, task_id: str, result: Any, context: Context) -> None:
        """Have a chord count a task whose process was killed after its result was stored.

        Celery stores the result first, then counts it, then publishes the body: killed in between, no body
        ever ran. Counting in Redis is safe to repeat; other backends count each call.
        """
        backend = self._backend(context)
        if not isinstance(backend, RedisBackend):
            return

        def count() -> None:
            self._backend(context).on_chord_part_return(context, states.SUCCESS, result)

        self._recorder.add(Outcome(what=f"the end of task {task_id} in its chord", record=count))

    def not_stored(
        self, task_id: str, error: BaseException, context: Context, *, store: bool, accepted: Accepted
    ) -> None:
        """Record the failure of a task that was run."""
        outcome = self._of_failure(task_id, error, context, store=store)
        outcome.accepted = accepted
        self._recorder.add(outcome)

    def _of_failure(self, task_id: str, error: BaseException, context: Context, *, store: bool) -> Outcome:
        def fail() -> None:
            self._backend(context).mark_as_failure(task_id, error, request=context, store_result=store)

        return Outcome(what=f"the failure of task {task_id}", record=fail, size=len(safe_repr(error)))

    def _failure(self, message: Message, finding: Finding) -> Outcome | None:
        fields, options = _fields(message)
        task_id, name = fields.get("id"), fields.get("task")
        if not isinstance(task_id, str) or not task_id:
            return None
        error = (
            NotRegistered(name)
            if finding.kind is DeadLetterKind.UNKNOWN_TASK
            else DeadLettered(finding.reason)
        )
        context = Context({**fields, **options, "delivery_info": {}})
        return self._of_failure(task_id, error, context, store=self._is_stored(fields, name))

    def _backend(self, context: Context) -> Any:
        """This thread's. A task may have one of its own."""
        task = self._task(getattr(context, "task", None))
        return self._app.backend if task is None else task.backend

    def _task(self, name: Any) -> Any:
        return self._app.tasks.get(name) if isinstance(name, str) else None

    def _is_stored(self, fields: Mapping[str, Any], name: Any) -> bool:
        task = self._task(name)
        if task is not None and task.store_errors_even_if_ignored:
            return True
        ignored = fields.get("ignore_result")
        if ignored is None:
            ignored = self._app.conf.task_ignore_result if task is None else task.ignore_result
        return not ignored


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
