"""A task that has ended, and whose result the backend did not take, is not a task that failed.

Celery makes a failure of it, in the task's process: its error callbacks run, and sending it again runs it
again. Here it is `NotStored`, with the result, and the worker's main process stores that when it can.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from celery import states
from kombu.exceptions import EncodeError

from taskfleet.errors import TaskfleetError


class NotStored(TaskfleetError):
    """The task has come to its end; the result backend did not take ``result``."""

    def __init__(self, cause: str, result: Any) -> None:
        super().__init__(cause, result)
        self.cause, self.result = cause, result

    def __str__(self) -> str:
        return f"the task ended well, and its result could not be stored: {self.cause}"


class FailureNotStored(TaskfleetError):
    """The task has failed with ``error``, and the result backend did not take that."""

    def __init__(self, cause: str, error: BaseException, traceback: str | None) -> None:
        super().__init__(cause, error, traceback)
        self.cause, self.error, self.traceback = cause, error, traceback

    def __str__(self) -> str:
        return f"{type(self.error).__name__}: {self.error} (it could not be stored: {self.cause})"


# States on a task's way: not knowing of them harms nobody, and Celery would make a failure of it.
PASSING = (states.STARTED, states.RETRY)


@contextlib.contextmanager
def told_apart(result: Any, request: Any) -> Iterator[None]:
    """Around the storing of a result: raises `NotStored` for whatever a backend raises.

    Not for a task of a chord: whether its end is counted there is not known.
    """
    try:
        yield
    except EncodeError:
        raise  # no JSON: the task is to blame
    except Exception as error:
        if request is not None and request.chord:
            raise
        raise NotStored(repr(error), result) from error
