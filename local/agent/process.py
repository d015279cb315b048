"""Start a command in a session of its own, and end everything in that session."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.agent import procfs

_INIT = Path(__file__).with_name("init.py")


class Process:
    """A running command under its `init`. ``session`` is the init's process id."""

    def __init__(self, init: asyncio.subprocess.Process, pid_file: Path) -> None:
        self._init, self._pid_file = init, pid_file
        self.session = init.pid

    @property
    def pid(self) -> int | None:
        """The command's own process id; None until it has started."""
        try:
            return int(self._pid_file.read_text())
        except (OSError, ValueError):
            return None

    async def started(self) -> bool:
        """Return once the command runs (or has run), or False if there is no such command."""
        while self.pid is None and self._init.returncode is None:
            await asyncio.sleep(0.01)
        return self.pid is not None

    async def wait(self) -> int:
        """The command's exit code, 128 + signal if one ended it. What it left in its session is killed."""
        code = await self._init.wait()
        kill_session(self.session)
        return code if code >= 0 else 128 - code

    def terminate(self) -> None:
        """SIGTERM to the command alone; it tells its children itself."""
        if self._init.returncode is None:
            self._init.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to everything."""
        kill_session(self.session)


async def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path,
    log: Path,
    pid_file: Path,
) -> Process:
    """Run ``command`` with exactly ``environment`` in ``directory``; its output is appended to ``log``.

    Call it from the main thread only: Linux ties the child's life to the thread that made it.
    """
    # By standard input, not by argument or file: the environment holds secrets.
    orders: dict[str, object] = {"command": list(command), "environment": dict(environment)}
    orders |= {"directory": str(directory), "pid_file": str(pid_file), "agent": os.getpid()}
    pid_file.unlink(missing_ok=True)
    with log.open("ab") as output:
        init = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_INIT)),
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={},
            start_new_session=True,
        )
    if init.stdin is not None:  # always; it is a pipe
        # No drain: nothing may be awaited, and so cancelled, between the start and the return.
        init.stdin.write(json.dumps(orders).encode())
        init.stdin.close()
    return Process(init, pid_file)


def kill_session(session: int) -> None:
    """SIGKILL every process of a session; also those that moved to a group of their own (Linux only)."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(session, signal.SIGKILL)
    for process in procfs.processes():
        if process.session == session:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGKILL)
