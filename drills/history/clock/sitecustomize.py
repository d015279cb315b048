"""Loaded by Python before anything else: see `drills.history.clock`."""

from __future__ import annotations

import datetime
import os
import time
from typing import Any

_FILE = os.environ.get("TASKFLEET_DRILL_CLOCK", "")
_LOOK_SECONDS = 0.1

_true_time, _true = time.time, datetime.datetime
_known, _until = 0.0, 0.0


def _off() -> float:
    global _known, _until
    now = time.monotonic()
    if now >= _until:
        with open(_FILE, encoding="ascii") as file:
            _known = float(file.read())
        _until = now + _LOOK_SECONDS
    return _known


class _Kind(type):
    """What is a datetime stays one, whoever made it."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _true)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _true)


class _Datetime(datetime.datetime, metaclass=_Kind):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return _true.now(tz) + datetime.timedelta(seconds=_off())

    @classmethod
    def utcnow(cls) -> Any:
        return _true.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(seconds=_off())


if _FILE:
    time.time = lambda: _true_time() + _off()
    time.time_ns = lambda: int(time.time() * 1e9)
    datetime.datetime = _Datetime  # type: ignore[misc]
