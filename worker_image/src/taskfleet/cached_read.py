"""What a process reads of AWS and keeps: read beside, and never waited for longer than a publish has time."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from taskfleet import deadline
from taskfleet.per_process import PerProcess

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Whoever asks so soon after a first read failed is told the same: they would wait as long for it.
FAILED_SECONDS = 1.0
# The shortest part of its time that a value is kept: processes that started together must not ask together.
SHORTEST_PART = 0.8


class Interrupted(OSError):
    """Whoever read for all of them was made to stop: a read that begins anew may bring it."""


class _Read(Generic[T]):
    """The read that is under way, or was the last."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.future: Future[T] | None = None
        self.began = -math.inf


class CachedRead(Generic[T]):
    """The value that ``read`` brought last; read again within ``keep_seconds``, it holds if that fails.

    A first read is waited for, within the `deadline` if there is one, and so is one of a value that nobody
    asked for in ``stale_seconds``. Any other only until it is ``patience_seconds`` old, whoever began it.
    Over a fork the value is kept, a read under way is not.
    """

    def __init__(
        self,
        what: str,
        read: Callable[[], T],
        *,
        keep_seconds: float,
        patience_seconds: float = 0.0,
        stale_seconds: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._read, self._clock = what, read, clock
        self._keep_seconds, self._patience_seconds = keep_seconds, patience_seconds
        self._stale_seconds = stale_seconds
        self._reads: PerProcess[_Read[T]] = PerProcess(_Read)
        self.known: T | None = None
        self._until = -math.inf

    def get(self) -> T:
        """The value. Raises what the first read raised, or ``TimeoutError``."""
        known, until, now = self.known, self._until, self._clock()
        if known is not None and now < until:
            return known
        look = self._reads.get()
        future = self._under_way(look)
        if known is None:
            return self._first(future)
        stale = now - until > self._stale_seconds
        patience = deadline.left() if stale else look.began + self._patience_seconds - now
        if patience is not None and patience <= 0:
            return known
        try:
            return future.result(patience)
        except Exception:  # noqa: BLE001 - it is in the log, and not this caller's concern
            return known

    def fresh(self) -> T:
        """The value that a read brings which begins now, or is under way. Raises what it raised, as `get`."""
        return self._first(self._under_way(self._reads.get()))

    def begin(self) -> None:
        """Begin the first read, for a `get` that comes soon."""
        if self.known is None:
            self._under_way(self._reads.get())

    def expire(self) -> None:
        """Have it read again at the next `get`."""
        self._until = self._clock()

    def _first(self, future: Future[T]) -> T:
        try:
            return future.result(deadline.left())
        except TimeoutError as error:
            raise TimeoutError(f"{self._what} was not read in time") from error

    def _under_way(self, look: _Read[T]) -> Future[T]:
        with look.lock:
            future = look.future
            begins = future is None or (future.done() and self._clock() >= self._until)
            if future is None or begins:
                future = look.future = Future()
                look.began = self._clock()
        if begins:
            self._start(future)
        return future

    def _start(self, future: Future[T]) -> None:
        thread = threading.Thread(target=self._run, args=(future,), name="taskfleet-cached-read", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread can be started now; nobody would ever end this wait
            self._run(future)
        except BaseException as error:  # a time limit of whoever publishes
            if not thread.is_alive() and not future.done():
                future.set_exception(Interrupted(repr(error)))
            raise

    def _run(self, future: Future[T]) -> None:
        try:
            value = self._read()
        except BaseException as error:
            # Whoever waits for it is told, also of what ends this thread, or the task that reads in its own.
            again = FAILED_SECONDS if self.known is None else self._keep_seconds
            self._until = self._clock() + again
            if self.known is not None:
                logger.warning("%s can't be read again, what was read last holds: %s", self._what, error)
            future.set_exception(error if isinstance(error, Exception) else Interrupted(repr(error)))
            if isinstance(error, Exception):
                return
            raise
        keep = self._keep_seconds * random.uniform(SHORTEST_PART, 1)  # noqa: S311 - spreads load
        self.known, self._until = value, self._clock() + keep
        future.set_result(value)
