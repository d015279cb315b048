"""One limit in time for all that a thread or greenlet does in a block, however many steps it has."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

_end: ContextVar[float | None] = ContextVar("taskfleet_deadline", default=None)

# A socket with a timeout of 0 does not wait at all, and says so in another way; a queue refuses less than 0.
_SHORTEST_SECONDS = 0.001


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """What heeds `left` in the block ends by then."""
    token = _end.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _end.reset(token)


def left() -> float | None:
    """How long a step may wait now, never quite 0; None without a limit."""
    end = _end.get()
    return None if end is None else max(_SHORTEST_SECONDS, end - time.monotonic())


def over() -> bool:
    """Whether the time is up. Never without a limit."""
    end = _end.get()
    return end is not None and time.monotonic() >= end
