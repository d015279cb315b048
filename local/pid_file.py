"""Files that a process keeps locked as long as it lives, and in which it says how to reach it."""

from __future__ import annotations

import fcntl
from pathlib import Path


def held(file: Path) -> str | None:
    """What the living process says; None if there is none."""
    try:
        with file.open() as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return opened.read()
    except FileNotFoundError:
        pass
    return None
