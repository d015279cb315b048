"""Handing a task to the pool: what the pool can't start goes back to the broker, whatever it raised."""

from __future__ import annotations

from collections.abc import Callable
from pickle import PicklingError
from typing import Any

from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError
from celery.concurrency import prefork
from celery.exceptions import WorkerShutdown, WorkerTerminate
from celery.worker.state import task_ready

from taskfleet.logs import logger

# Given back after this, not at once: what failed (no thread, no memory) will fail again at once.
GIVE_BACK_SECONDS = 1.0
# What pickling a message for another process raises, one that is nested too deep for instance.
_OF_THE_MESSAGE = (RecursionError, PicklingError, TypeError, ValueError, AttributeError)
# So many in a row, and the worker is not healthy: another one may have what this one lacks.
MOST_FAILURES = 5


class Starting:
    """Guards Celery's hand-over to the pool, and counts how often in a row it failed."""

    def __init__(self, consumer: Any) -> None:
        controller = consumer.controller
        self._timer = consumer.timer
        self._controller = controller
        self._start = controller._process_task
        self.failures = 0
        if consumer.on_task_request == self._start:
            consumer.on_task_request = self.start
        # Where there is one, Celery's semaphore looks it up when a slot is free.
        controller._process_task = self.start
        if not isinstance(controller.pool, prefork.TaskPool):
            controller.pool.on_apply = _always_answered(controller.pool.on_apply)

    def start(self, request: Any) -> None:
        """Celery's ``_process_task``. An exception that passed here would end the worker."""
        try:
            self._start(request)
        except _OF_THE_MESSAGE:
            logger.exception("task %s can't be started", request.id)
            self._release_slot(request)
            request.reject(requeue=False)
        except Exception:  # noqa: BLE001 - whatever else a pool raises
            self.failures += 1
            logger.exception("task %s could not be started, so it is given back", request.id)
            self._release_slot(request)
            self._timer.call_after(GIVE_BACK_SECONDS, request.reject, kwargs={"requeue": True})
        else:
            self.failures = 0

    def problem(self) -> str | None:
        """Why this worker is of no use, or None."""
        if self.failures < MOST_FAILURES:
            return None
        return f"the last {self.failures} tasks could not be started"

    def _release_slot(self, request: Any) -> None:
        if getattr(self._controller, "semaphore", None) is not None:
            self._controller._quick_release()
        task_ready(request)


def _always_answered(on_apply: Callable[..., Any]) -> Callable[..., Any]:
    """Threads and greenlets: what Celery's tracer itself raises ends the task, too.

    Celery drops it there, and the task's slot and message are held for as long as the worker lives. In the
    form that the tracer has for a failure: failed, what with, run time.
    """

    def apply(target: Callable[..., Any], *given: Any, **options: Any) -> Any:
        def answered(*args: Any, **kwargs: Any) -> Any:
            try:
                try:
                    return target(*args, **kwargs)
                except (WorkerShutdown, WorkerTerminate):
                    raise
                except (SystemExit, KeyboardInterrupt) as error:
                    # In a process of its own it would have ended that.
                    raise WorkerLostError(repr(error)) from error
            except Exception:  # noqa: BLE001 - whatever it is, somebody must hear of it
                return 1, ExceptionInfo(), 0.0

        return on_apply(answered, *given, **options)

    return apply
