"""Keeps the local fleet's logs and journal from filling the disk, while their writers have them open."""

from __future__ import annotations

import asyncio
from pathlib import Path

from drills.tasks.journal import FILE
from local.places import Places

# Of one file. A log keeps its end; the journal, which is read as a whole, begins anew.
MOST_LOG_BYTES = 8 * 2**20
KEPT_LOG_BYTES = 2**20
MOST_JOURNAL_BYTES = 128 * 2**20
_EVERY_SECONDS = 10.0


async def keep_small(places: Places) -> None:
    """Look every ten seconds, until cancelled."""
    while True:
        cap(places)
        await asyncio.sleep(_EVERY_SECONDS)


def cap(places: Places) -> None:
    """Shorten what has grown too large."""
    for log in places.logs.rglob("*.log"):
        _shorten(log, most=MOST_LOG_BYTES, keep=KEPT_LOG_BYTES)
    _shorten(places.journal / FILE, most=MOST_JOURNAL_BYTES, keep=0)


def _shorten(file: Path, *, most: int, keep: int) -> None:
    """In place: every writer appends (``O_APPEND``), so what it writes next follows what is kept."""
    try:
        with file.open("r+b") as handle:
            size = handle.seek(0, 2)
            if size <= most:
                return
            handle.seek(size - keep)
            end = handle.read()
            handle.truncate(0)
        with file.open("ab") as handle:
            handle.write(end[end.find(b"\n") + 1 :])
    except OSError:
        return  # gone, or no room: a log must not end the fleet
