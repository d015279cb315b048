"""Processor time, which says what a task costs also where other programs take the machine's time."""

from __future__ import annotations

import os
from pathlib import Path

from local.agent import procfs

_TICKS = os.sysconf("SC_CLK_TCK")


def seconds(session: int) -> float:
    """What all processes of a session have used so far, user and system time together."""
    return sum(_of(process.pid) for process in procfs.processes() if process.session == session)


def _of(pid: int) -> float:
    try:
        text = (Path("/proc") / str(pid) / "stat").read_text()
    except OSError:
        return 0.0
    fields = text[text.rindex(")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
