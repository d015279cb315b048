"""`make down`: end every process of the local fleet, in order if that is possible, and forget its state.

Works after a crash of the supervisor too: what it recorded is looked for and killed. The logs stay.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from local import observer
from local.agent import procfs
from local.agent.sweep import sweep
from local.pid_file import held
from local.places import Places
from local.supervisor.status import ChildStatus, Status

# The agent gives its containers their stop timeout, and the supervisor gives the agent 45 s.
_PATIENCE_SECONDS = 60.0


def supervisor_pid(places: Places) -> int | None:
    """The living supervisor of this folder, or None."""
    return int(held(places.supervisor_pid) or 0) or None


def down(places: Places, *, keep_account: bool = False) -> list[str]:
    """End everything; what had to be killed. ``keep_account`` leaves the state for the next `up`."""
    status = Status.read(places.status)
    killed = []
    pid = supervisor_pid(places)
    if pid is not None and not _ended(pid, places):
        killed.append("supervisor")
    for name, child in status.children.items() if status else ():
        if _kill(child):
            killed.append(name)
    killed += [f"session {session}" for session in sweep(places.root / "tasks")]
    if not observer.end(places):
        killed.append("Prometheus")
    if not keep_account:
        forget(places)
    return killed


def _ended(pid: int, places: Places) -> bool:
    """Ask the supervisor to stop; True if it did, False if it had to be killed."""
    os.kill(pid, signal.SIGTERM)
    if _until(lambda: _gone(pid, places), seconds=_PATIENCE_SECONDS):
        return True
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    _until(lambda: _gone(pid, places), seconds=5)
    return False


def _gone(pid: int, places: Places) -> bool:
    """It has let go of the folder, and the process itself has ended (where that can be seen)."""
    return supervisor_pid(places) is None and procfs.read(pid) is None


def _kill(child: ChildStatus) -> bool:
    """Kill a recorded child and what it started, unless its number belongs to somebody else by now."""
    if child.pid is None:
        return False
    leader = procfs.read(child.pid)
    if leader is not None and leader.started != child.started:
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
        return True
    return False


def forget(places: Places) -> None:
    """Remove the account, the broker's data and everything else but the logs."""
    for folder in (
        places.account,
        places.broker,
        places.broker_2,
        places.results,
        places.certificates,
        places.cdk_out,
        places.prometheus,
    ):
        shutil.rmtree(folder, ignore_errors=True)
    for name in ("images", "tasks", "journal"):  # the agent's
        shutil.rmtree(places.root / name, ignore_errors=True)
    files: tuple[Path, ...] = (places.ports, places.status, places.env, places.ca, places.trusted)
    for file in (
        *files,
        places.broker_endpoint,
        places.front_control,
        places.results_control,
        places.supervisor_pid,
        places.observer,
        places.scraped,
        places.root / "agent.lock",
    ):
        file.unlink(missing_ok=True)


def _until(condition: Callable[[], bool], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def main() -> int:
    """`make down`."""
    places = Places.from_environment()
    was_up = supervisor_pid(places) is not None
    if was_up:
        print("  stopping (running tasks get their time to finish) …", flush=True)
    began = time.monotonic()
    killed = down(places)
    if killed:
        print(f"  had to kill: {', '.join(killed)}")
    elif not was_up:
        print("  nothing was running")
    print(f"  down in {time.monotonic() - began:.1f} s; the logs are still in {places.logs}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
