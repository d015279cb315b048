"""Tells a stuck process from a busy or a waiting one.

The main loop of a worker, of beat and of the controller stamps a small file. A loop that is busy, or that
waits for a dead broker, still stamps; one that hangs does not. So an outage of the broker kills nobody. A
worker that turns and could run nothing says so in its stamp (`taskfleet.worker.usefulness`).
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

# Longer than anything that a healthy loop waits for: a socket's time-out, a pool's restart.
STUCK_AFTER_SECONDS = 60.0


def stamp_file() -> Path:
    """Where the stamp is, the same for a container's main process and its health check."""
    return Path(tempfile.gettempdir()) / "taskfleet-alive.json"


def stamp(doing: str, problem: str | None = None) -> None:
    """Say that the main loop turned, and what it does: ``running``, ``connecting``, ``draining``.

    ``problem`` is why the process is of no use although it turns.
    """
    target = stamp_file()
    # The monotonic clock is the machine's, so another process can compare with it.
    text = json.dumps({"at": time.monotonic(), "pid": os.getpid(), "doing": doing, "problem": problem})
    fresh = target.with_suffix(f".{os.getpid()}")
    fresh.write_text(text)
    fresh.replace(target)


def check(stuck_after_seconds: float = STUCK_AFTER_SECONDS) -> str | None:
    """None if the loop turned lately, else what is wrong."""
    try:
        data = json.loads(stamp_file().read_text())
        age = time.monotonic() - data["at"]
    except FileNotFoundError:
        return f"not started yet: there is no {stamp_file()}"
    except (ValueError, KeyError, TypeError) as error:
        return f"{stamp_file()} can't be read: {error}"
    if age > stuck_after_seconds:
        return f"stuck: the main loop (process {data['pid']}, {data['doing']}) last turned {age:.0f} s ago"
    problem = data.get("problem")
    return None if problem is None else str(problem)
