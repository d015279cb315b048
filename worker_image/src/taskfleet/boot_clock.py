"""A clock that goes on while the machine sleeps, which ``time.monotonic`` need not do."""

from __future__ import annotations

import time


def now() -> float:
    """Seconds from some moment on, never set back, suspensions of the process and the machine included.

    Linux counts them in CLOCK_BOOTTIME alone (clock_gettime(2)); macOS in CLOCK_MONOTONIC, which
    ``time.monotonic`` does not read there.
    """
    return time.clock_gettime(_CLOCK)


_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
