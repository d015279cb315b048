"""One object for each process, made again after a fork.

Sockets and threads that were made before a fork must not be used after it: two processes would read
each other's answers, and threads do not survive.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_all: weakref.WeakSet[PerProcess[Any]] = weakref.WeakSet()


class PerProcess(Generic[T]):
    """Makes its object with ``factory`` at the first `get` of each process."""

    def __init__(self, factory: Callable[[], T]) -> None:
        self._factory = factory
        self.made: T | None = None  # of this process, if it has one already
        self._inherited: list[T] = []
        self._lock = threading.Lock()
        _all.add(self)

    def get(self) -> T:
        """The process's own object."""
        made = self.made
        if made is not None:
            return made
        with self._lock:
            if self.made is None:
                self.made = self._factory()
            return self.made

    def after_fork(self) -> None:
        """Forget the object without closing it: after a fork its sockets are still the parent's."""
        self._lock = threading.Lock()  # the parent's may have been held by a thread that is not here
        if self.made is not None:
            self._inherited.append(self.made)
            self.made = None


def _after_fork_in_child() -> None:
    for each in list(_all):
        each.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
