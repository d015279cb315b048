"""A task that failed for good is kept in the dead-letter store before its message is acknowledged.

Nothing is added to a task that succeeds. It happens where Celery acknowledges (the worker's main
process), which also knows of tasks whose process was killed or ran into its time limit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import Ignore, InvalidTaskError, MaxRetriesExceededError, Reject, Retry
from celery.worker.request import Request
from celery.worker.state import task_ready
from kombu.exceptions import EncodeError
from kombu.utils.encoding import safe_repr, safe_str
from kombu.utils.imports import symbol_by_name

from taskfleet.dead_letters import writing
from taskfleet.dead_letters.dead_letter import DeadLetter, DeadLetterKind, Finding
from taskfleet.errors import PointerUnknown, PublishError, TaskfleetError
from taskfleet.logs import logger
from taskfleet.publishing.stored import FailureNotStored, NotStored
from taskfleet.worker import time_limits
from taskfleet.worker.parking import Parking

_NO_FAILURE = (Retry, Ignore, Terminated)
# Why a retry was not published, if it can be later. Other reasons stay: too large, not JSON, no such queue.
_NOT_YET = (PublishError, PointerUnknown)


@dataclass(frozen=True)
class Failure:
    """What a task ended with."""

    error: BaseException
    traceback: str | None


def keep(task: Any, parking: Parking) -> None:
    """Have the requests of this task keep its final failures, with the consumer's ``parking``."""
    request = symbol_by_name(task.Request)
    if not issubclass(request, KeepsFailures):
        task.Request = type(request.__name__, (KeepsFailures, request), {"fleet_parking": parking})


class KeepsFailures(Request):  # type: ignore[misc]
    """Comes before a task's own request class."""

    fleet_parking: Parking
    _failure: Failure | None = None
    _ended = False
    _keeping = False  # from then on only the store's answer ends it: Celery may report an end twice

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.time_limits: tuple[float | None, float | None] = time_limits.effective(
            self.time_limits, self._task, self._app.conf
        )

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Celery's, which ends with an acknowledgement, a rejection or neither."""
        self._ended = True
        error = exc_info.exception
        error = error.exc if isinstance(error, ExceptionWithTraceback) else error
        if isinstance(error, NotStored):
            logger.warning("%s: %s; it is tried again here", self.id, error)
            task_ready(self, successful=True)
            return self.fleet_parking.outcomes.ended(self.id, error.result, self._context, self.acknowledge)
        if isinstance(error, FailureNotStored):
            return self._end_of_failure(error)
        unpublished = _unpublished(error)
        if isinstance(unpublished, _NOT_YET) and self.task.acks_late:
            logger.error("%s is given back, its retry can't be published: %s", self.id, unpublished)
            task_ready(self)
            return self.reject(requeue=True)
        if self._lost_its_process_in_its_last_try(error):
            logger.error(
                "%s is given back, its process was lost and it has no retry left: %r", self.id, error
            )
            task_ready(self)
            return self.reject(requeue=True)
        cause = unpublished or error
        if not self._keeping and not isinstance(cause, (*_NO_FAILURE, *_expected(self.task))):
            self._failure = Failure(cause, exc_info.traceback)
        if isinstance(error, MemoryError):
            # Celery raises it again in the main process, and leaves the message in the worker's hands.
            task_ready(self)
            return self.acknowledge()
        result = None
        with self._an_end_in_any_case(self.acknowledge):
            result = super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
        if self._failure is not None and not self.task.acks_late:
            self.acknowledge()  # the message went before the task ran: the letter is all that is left
        self._failure = None
        return result

    def _end_of_failure(self, failure: FailureNotStored) -> None:
        if not self._keeping and not isinstance(failure.error, (*_NO_FAILURE, *_expected(self.task))):
            self._failure = Failure(failure.error, failure.traceback)
        task_ready(self)
        self.fleet_parking.outcomes.not_stored(
            self.id, failure.error, self._context, store=self.store_errors, accepted=self.acknowledge
        )

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Celery's; a hard time limit is a final failure, and has no traceback."""
        if not soft and not self._keeping:
            self._ended = True
            self._failure = Failure(TimeLimitExceeded(timeout), None)
        with self._an_end_in_any_case(partial(self._end_of_timeout, soft)):
            super().on_timeout(soft, timeout)

    def _end_of_timeout(self, soft: bool) -> None:
        if not soft and self.task.acks_late:
            if self.task.acks_on_timeout:
                self.acknowledge()
            else:
                self.reject(requeue=True)

    def _announce_revoked(self, *args: Any, **kwargs: Any) -> None:
        with self._an_end_in_any_case(self.acknowledge):
            super()._announce_revoked(*args, **kwargs)
        self._already_revoked = True

    def _announce_cancelled(self, *args: Any, **kwargs: Any) -> None:
        # First, or the end of its process would be taken for a revocation, which acknowledges.
        self._already_cancelled = True
        super()._announce_cancelled(*args, **kwargs)

    @contextlib.contextmanager
    def _an_end_in_any_case(self, end: Callable[[], object]) -> Iterator[None]:
        """What Celery does beside the message's end (the result backend, a hook) may fail; the end may not.

        Celery would leave the message unacknowledged, and its slot taken, for as long as the worker lives.
        By then a retry was published, or the failure is what is kept: so ``end`` is right.
        """
        try:
            yield
        except Exception:  # noqa: BLE001 - whatever a backend or a hook raises
            logger.exception("what became of task %s could not be recorded in full", self.id)
            if not self.acknowledged:
                end()

    def _lost_its_process_in_its_last_try(self, error: BaseException) -> bool:
        """Then the machine is to blame, not the task: its deliveries are counted, as for any worker's loss.

        Celery takes it for a failure. It is one where the task itself exits, which is the error's cause then.
        A task whose end was stored has ended.
        """
        task, most = self.task, self.task.max_retries
        return (
            isinstance(error, WorkerLostError)
            and error.__cause__ is None
            and not self._keeping
            and task.acks_late
            and task.reject_on_worker_lost
            and task.retry_on_worker_lost
            and most is not None
            and (self._context.retries or 0) >= most
            and not super()._success_was_stored()
        )

    def _retry_worker_lost(self, exc: Any, exc_info: Any) -> bool:
        if self.task.max_retries is None:
            # A retry is a new message that was never delivered before, and would be one for ever. Given
            # back instead, the message is poison after `limits.MOST_DELIVERIES`, as any other.
            return False
        failure, self._failure = self._failure, None
        if super()._retry_worker_lost(exc, exc_info):
            return True
        self._failure = failure
        return False

    def _success_was_stored(self) -> Any:
        stored = super()._success_was_stored()
        if stored:
            self._failure = None
            if self._context.chord:
                self.fleet_parking.outcomes.counted(self.id, stored["result"], self._context)
        return stored

    def acknowledge(self) -> None:
        """Celery's, after a failure once the letter is kept."""
        failure, self._failure = self._failure, None
        if failure is None and not self._keeping:
            super().acknowledge()
        elif failure is not None:
            self._keeping = True
            self.fleet_parking.park(
                _letter(self, failure),
                done=super().acknowledge,
                give_back=partial(super().reject, requeue=True),
                held=not self.acknowledged,
            )

    def reject(self, requeue: bool = False) -> None:
        """Celery's. Without ``requeue`` it is the end of a failed task, or of one that Celery can't start."""
        if self._keeping:
            return
        if requeue:
            self._failure = None
            super().reject(requeue=True)
            return
        if not self._ended:
            self._failure = Failure(error := InvalidTaskError("Celery can't start it"), None)
            self.fleet_parking.outcomes.failed(self._message, _finding(self, error))
        # Not rejected: Redis would drop it without a letter, and SQS deliver it again.
        self.acknowledge()


def _unpublished(error: BaseException) -> BaseException | None:
    """Why a retry could not be published. Celery makes a `Reject` of it, which would drop the message."""
    reason = error.reason if isinstance(error, Reject) and not error.requeue else None
    return reason if isinstance(reason, TaskfleetError | EncodeError) else None


def _expected(task: Any) -> tuple[type[BaseException], ...]:
    throws = task.throws or ()
    return throws if isinstance(throws, tuple) else (throws,)


def _letter(request: Any, failure: Failure) -> DeadLetter:
    return writing.of_message(
        request._app.taskfleet.settings,
        request._message,
        _finding(request, failure.error),
        exception=_says(failure.error),
        traceback=failure.traceback,
    )


def _finding(request: Any, error: BaseException) -> Finding:
    if isinstance(error, InvalidTaskError):
        return Finding(DeadLetterKind.INVALID, _says(error))
    if isinstance(error, Reject):
        return Finding(DeadLetterKind.REJECTED, f"rejected by the task: {safe_str(error.reason)}")
    retries, most = request._context.retries or 0, request.task.max_retries
    spent = isinstance(error, MaxRetriesExceededError) or (most is not None and 0 < most <= retries)
    kind = DeadLetterKind.RETRIES_EXHAUSTED if spent else DeadLetterKind.FAILED
    after = f" after {retries} retries" if retries else ""
    return Finding(kind, f"failed{after}: {_says(error)}")


def _says(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - an exception's own text can fail in any way
        return f"{type(error).__name__}: {safe_repr(error)}"
