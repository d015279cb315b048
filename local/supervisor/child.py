"""One child process: started when what it needs is there, started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from taskfleet.testing import leash

from local.agent import procfs
from local.places import REPOSITORY
from local.supervisor.status import ChildStatus, State

_log = logging.getLogger("supervisor")

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
_GOOD_AFTER_SECONDS = 20.0  # a child that ran so long starts its back-off anew


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What to run. ``ready`` tells when others may count on it; ``stdin`` may wait for what it gives."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    needs: tuple[str, ...] = ()
    ready: Callable[[], Awaitable[bool]] | None = None
    stdin: Callable[[], Awaitable[bytes]] | None = None
    waits_for: str = ""  # in words, while `stdin` waits
    stop_seconds: float = 5.0
    dying_costs: str = ""  # in words, what a kill may take with it
    hopeless: Mapping[int, str] = field(default_factory=dict)  # exit codes that a restart can't cure


class Hopeless(Exception):
    """A child ended in a way that starting it again can't cure."""


class Child:
    """Runs `spec` until stopped. ``changed`` is called when its status has."""

    def __init__(self, spec: Spec, *, log: Path, changed: Callable[[], None]) -> None:
        self.spec, self.status = spec, ChildStatus()
        self.is_ready = asyncio.Event()
        self._log_path, self._changed = log, changed
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    async def run(self, others: Mapping[str, Child]) -> None:
        """For ever. Raises `Hopeless`."""
        failures = 0
        while not self._stopping:
            for name in self.spec.needs:
                await others[name].is_ready.wait()
            began = time.monotonic()
            code = await self._run_once()
            if self._stopping:
                return
            if code in self.spec.hopeless:
                raise Hopeless(self.spec.hopeless[code])
            failures = 0 if time.monotonic() - began > _GOOD_AFTER_SECONDS else failures + 1
            pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** max(0, failures - 1))
            _log.warning("%s ended (%s); started again in %.1f s", self.spec.name, _meaning(code), pause)
            if self.spec.dying_costs:
                _log.warning("%s: %s", self.spec.name, self.spec.dying_costs)
            self.status.restarts, self.status.cost = self.status.restarts + 1, self.spec.dying_costs
            self._set(State.RESTARTING, f"ended ({_meaning(code)}), log: {self._log_path.name}")
            await asyncio.sleep(pause)

    async def _run_once(self) -> int:
        data = await self._standard_input()
        with self._log_path.open("ab") as log:
            process = self._process = await asyncio.create_subprocess_exec(
                *leash.leashed(self.spec.command),
                env=dict(self.spec.environment),
                cwd=REPOSITORY,
                stdin=asyncio.subprocess.PIPE if data is not None else asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=leash.die_with_parent(os.getpid()),
            )
        self.status.pid, self.status.started = process.pid, _started(process.pid)
        self._set(State.STARTING)
        if data is not None and process.stdin is not None:
            process.stdin.write(data)
            process.stdin.close()
        watch = asyncio.create_task(self._until_ready(process))
        code = await process.wait()
        watch.cancel()
        self.is_ready.clear()
        _kill_group(process.pid)  # what it started itself
        self.status.pid = self.status.started = None
        return code

    async def _standard_input(self) -> bytes | None:
        if self.spec.stdin is None:
            return None
        self._set(State.WAITING, self.spec.waits_for)
        return await self.spec.stdin()

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        while self.spec.ready is not None and not await self.spec.ready():
            await asyncio.sleep(0.1)
        _log.info("%s runs (pid %d)", self.spec.name, process.pid)
        self._set(State.RUNNING)
        self.is_ready.set()

    async def stop(self) -> None:
        """SIGTERM, `stop_seconds`, SIGKILL."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(self.spec.stop_seconds):
                    await process.wait()
            except TimeoutError:
                _log.warning("%s did not end within %.0f s: killed", self.spec.name, self.spec.stop_seconds)
                _kill_group(process.pid)
                await process.wait()
            _kill_group(process.pid)
        self.status.pid = self.status.started = None
        self._set(State.STOPPED)

    def _set(self, state: State, note: str = "") -> None:
        self.status.state, self.status.note = state, note
        self._changed()


def _started(pid: int) -> int | None:
    process = procfs.read(pid)
    return process.started if process else None


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _meaning(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
