"""Read ``/proc``: which processes a session has, and what memory they hold. Empty where there is none."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_PAGE_BYTES = resource.getpagesize()


@dataclass(frozen=True)
class Process:
    """A process as ``/proc/<pid>/stat`` shows it; ``started`` is in clock ticks since boot."""

    pid: int
    parent: int
    session: int
    started: int
    rss_bytes: int


def available() -> bool:
    """Whether this machine has a ``/proc`` as Linux does."""
    return (_PROC / "self" / "stat").exists()


def processes() -> Iterator[Process]:
    """Every process that can be read now; one that ends meanwhile is left out. No zombies."""
    if not available():
        return
    for name in os.listdir(_PROC):
        if name.isdigit() and (process := read(int(name))) is not None:
            yield process


def read(pid: int) -> Process | None:
    """One process, or None if it is gone."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The second field, the name, is in brackets and may hold anything (proc(5)).
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    return Process(pid, int(fields[1]), int(fields[3]), int(fields[19]), int(fields[21]) * _PAGE_BYTES)


def pss_bytes(pid: int) -> int:
    """Memory with shared pages shared out, as a container's limit counts it. 0 if the process is gone."""
    try:
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0
