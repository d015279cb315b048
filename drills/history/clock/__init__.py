"""A wall clock that the drill sets: of one process, since a machine's needs root and is everybody's.

A process whose PYTHONPATH begins with `FOLDER` loads `sitecustomize`: there ``time.time`` and
``datetime.now`` are off by the seconds in the file that ``TASKFLEET_DRILL_CLOCK`` names. What counts the
seconds (``time.monotonic``, timers, sockets) is not touched, as when a clock is stepped.
"""

from __future__ import annotations

import time
from pathlib import Path

FOLDER = Path(__file__).parent
VARIABLE = "TASKFLEET_DRILL_CLOCK"


def true() -> float:
    """Seconds since the epoch, whatever the process's own clock says."""
    return time.clock_gettime(time.CLOCK_REALTIME)


def put_off(file: Path, seconds: float) -> None:
    """From now on, the clocks that read this file are off by so much."""
    new = file.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(file)


def variables(file: Path) -> dict[str, str]:
    """Of a process whose clock reads the file."""
    put_off(file, 0.0)
    return {VARIABLE: str(file), "PYTHONPATH": str(FOLDER)}
