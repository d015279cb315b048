"""Remove what a container leaves behind, also after an agent that was killed.

The first process of a container kills its session when the agent dies. That is enough unless it was
killed as well; so each container's session is also written down, and looked for when an agent starts.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from pathlib import Path

from local.agent import procfs
from local.agent.process import kill_session

_log = logging.getLogger(__name__)

_RECORD = "session.json"
_PATIENCE_SECONDS = 5.0


def record(directory: Path, session: int) -> None:
    """Write down the session of the container whose private directory this is."""
    leader = procfs.read(session)
    started = leader.started if leader else None
    (directory / _RECORD).write_text(json.dumps({"session": session, "started": started}))


def sweep(tasks: Path) -> list[int]:
    """Kill every session recorded under ``tasks`` and remove its directory. The sessions that still lived."""
    found = []
    for directory in sorted(tasks.iterdir()) if tasks.is_dir() else []:
        session = _still_ours(directory / _RECORD)
        if session is not None:
            kill_session(session)
            found.append(session)
        remove(directory)
    return found


def remove(directory: Path) -> None:
    """Remove a container's private directory, whose processes were killed just before.

    A killed process still ends the system call that it is in, and so may make a file while the
    directory is being emptied: it is emptied again until it is gone.
    """
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        if time.monotonic() > end:
            _log.warning("%s cannot be removed: remove it by hand", directory)
            return
        time.sleep(0.02)


def _still_ours(record_file: Path) -> int | None:
    """The recorded session, if processes of it are left and its number was not given to another."""
    try:
        recorded = json.loads(record_file.read_text())
    except (OSError, ValueError):
        return None
    session = int(recorded["session"])
    # The kernel reuses a number only once its session is empty: another start time is another session.
    leader = procfs.read(session)
    if leader is not None and leader.started != recorded["started"]:
        return None
    return session if any(process.session == session for process in procfs.processes()) else None
