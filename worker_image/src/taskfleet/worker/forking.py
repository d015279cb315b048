"""Locks that a thread of the worker's main process held as a child was forked: nobody frees them there.

One lock is taken all the time: kombu's ``cached_property``, of which Celery's and kombu's classes are full,
has one for each attribute of a class, held while any instance makes its value. A thread that opens the result
backend just then leaves ``RedisBackend.client`` locked in the child, which never ends a task that has a
result: what became of a killed child is recorded as the next one is forked. Python frees its own modules'
locks after a fork; these are a library's.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any


def free_locks_in_children() -> None:
    """Of what is imported by now. Once, before the first child."""
    attributes = [each for each in _lazy_attributes() if hasattr(each, "lock")]

    def renew() -> None:
        for each in attributes:
            each.lock = threading.RLock()

    os.register_at_fork(after_in_child=renew)


def _lazy_attributes() -> Iterator[Any]:
    """kombu's are a kind of Python's, which have such a lock up to 3.11.

    Types are asked for without ``isinstance``: of a lazy object (Django's settings) that makes what it
    stands for, and may raise.
    """
    for module in list(sys.modules.values()):
        names = list(getattr(module, "__dict__", {}).values())
        for cls in (each for each in names if issubclass(type(each), type)):
            found = list(vars(cls).values())
            yield from (each for each in found if issubclass(type(each), functools.cached_property))
