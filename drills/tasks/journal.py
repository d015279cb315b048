"""A record of what ran, for drills and `make try`, which count: was every task executed?

Lines of JSON in ``<directory>/executions.jsonl``; the directory comes from ``TASKFLEET_JOURNAL``. Without the
variable nothing is written. On this machine every worker appends to the same file: a line is one write
to a file opened with ``O_APPEND``, so lines of several processes don't mix. It is no part of
either broker, so a drill that breaks those leaves the count alone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taskfleet.contract.container import JOURNAL

FILE = "executions.jsonl"


def directory() -> Path | None:
    """Where what ran is recorded; None where nothing is."""
    value = os.environ.get(JOURNAL)
    return Path(value) if value else None


def write(event: str, **facts: Any) -> None:
    """Append one line: ``event``, ``at`` (seconds since the epoch), ``pid`` and the facts."""
    place = directory()
    if place is None:
        return
    line = json.dumps({"event": event, "at": time.time(), "pid": os.getpid(), **facts}) + "\n"
    handle = os.open(place / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def read(directory: Path) -> Iterator[dict[str, Any]]:
    """All lines so far; a last one that is being written is left out."""
    try:
        text = (directory / FILE).read_text()
    except FileNotFoundError:
        return
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)
