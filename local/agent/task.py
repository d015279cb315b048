"""One task from its creation until it has stopped: prepare, run, check, stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from local.agent import process, sweep
from local.agent.definitions import Definition, HealthCheck, StartError
from local.agent.health import Health, Verdict, after, next_check_seconds
from local.agent.model import Revision, RunningTask, ServiceName

_log = logging.getLogger(__name__)

# ECS's stop codes (API reference, Task.stopCode).
EXITED = "EssentialContainerExited"
FAILED_TO_START = "TaskFailedToStart"
SCHEDULER = "ServiceSchedulerInitiated"
USER = "UserInitiated"

# What has no health check counts as ready after this: long enough for most that can't start to exit.
STEADY_SECONDS = 2.0

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


@dataclass(frozen=True)
class Container:
    """Everything that a container needs to start; made by the agent just before."""

    definition: Definition
    environment: dict[str, str]
    working_directory: Path


@dataclass(kw_only=True)
class Outcome:
    """Why and how a task stopped; ``code`` is one of ECS's stop codes."""

    code: str
    reason: str
    exit_code: int | None = None


Prepare = Callable[["Task"], Awaitable[Container]]


class Task:
    """A task of a service. ``run`` drives it to its end and never raises."""

    def __init__(self, service: ServiceName, revision: Revision, *, directory: Path, log: Path) -> None:
        self.id = uuid.uuid4().hex
        self.service, self.revision = service, revision
        self.directory, self.log = directory / self.id, log / f"{self.id}.log"
        self.status = "PENDING"
        self.created_at = time.time()
        self.started_at: float | None = None
        self.stopped_at: float | None = None
        self.outcome: Outcome | None = None
        self.process: process.Process | None = None
        self.definition: Definition | None = None
        self.out_of_memory = False
        self._verdict = Verdict()
        self._stop = asyncio.Event()
        self._last_check_output = ""

    @property
    def label(self) -> str:
        """What the log calls it."""
        return f"{self.service.name} {self.id[:8]}"

    @property
    def health(self) -> Health:
        """What the health checks say so far."""
        return self._verdict.health

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    def view(self, *, protected: bool) -> RunningTask:
        """The task as the plan sees it."""
        checked = self.definition is not None and self.definition.health_check is not None
        running = self.status == "RUNNING"
        age = time.time() - self.started_at if self.started_at else 0.0
        return RunningTask(
            id=self.id,
            service=self.service,
            revision=self.revision,
            created_at=self.created_at,
            stopping=self.stopping,
            running=running,
            ready=running and (self.health is Health.HEALTHY if checked else age >= STEADY_SECONDS),
            unhealthy=self.health is Health.UNHEALTHY,
            protected=protected,
        )

    def stop(self, reason: str, *, code: str = SCHEDULER) -> None:
        """Ask it to stop; `run` does, with SIGTERM and the container's stop timeout. Twice is fine."""
        if not self.stopping:
            self.outcome = Outcome(code=code, reason=reason)
            self._stop.set()
            _log.info("%s: stopping: %s", self.label, reason)

    def tell_delay(self, seconds: float) -> None:
        """Say when the next one of the service starts."""
        if seconds >= 1:
            _log.info("%s: the next one starts in %g s", self.service.name, seconds)

    async def run(self, prepare: Prepare, *, changed: Callable[[], None]) -> None:
        """Start the container and see it through. ``changed`` is called after every change of state."""
        try:
            container = await prepare(self)
            self.definition = container.definition
            if not self.stopping:
                await self._run(container, changed)
        except (StartError, BotoCoreError, ClientError, OSError) as error:
            self.outcome = self.outcome or Outcome(code=FAILED_TO_START, reason=str(error))
            _log.warning("%s: cannot start: %s", self.label, error)
        self.status, self.stopped_at = "STOPPED", time.time()
        shutil.rmtree(self.directory, ignore_errors=True)
        changed()

    async def _run(self, container: Container, changed: Callable[[], None]) -> None:
        self.process = await self._start(container.definition.command, container, log=self.log, name="main")
        sweep.record(self.directory, self.process.session)
        if not await self.process.started():
            code = await self.process.wait()
            reason = f"CannotStartContainerError: {container.definition.command[0]!r}: see {self.log}"
            self.outcome = Outcome(code=FAILED_TO_START, reason=reason, exit_code=code)
            _log.warning("%s: %s", self.label, reason)
            return
        self.status, self.started_at = "RUNNING", time.time()
        _log.info("%s: started, output in %s", self.label, self.log)
        changed()
        exited = asyncio.create_task(self.process.wait())
        stopped = asyncio.create_task(self._stop.wait())
        checks = asyncio.create_task(self._check(container, changed))
        await asyncio.wait({exited, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not exited.done():
            self.status = "STOPPING"
            changed()
            await self._end(self.process, exited, container.definition.stop_timeout_seconds)
        checks.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await checks
        self._ended(await exited)

    async def _end(self, main: process.Process, exited: asyncio.Task[int], timeout_seconds: float) -> None:
        """SIGTERM, the stop timeout, SIGKILL to all of it."""
        main.terminate()
        await asyncio.wait({exited}, timeout=timeout_seconds)
        if not exited.done():
            _log.warning("%s: still there %g s after SIGTERM: killed", self.label, timeout_seconds)
            main.kill()

    def _ended(self, code: int) -> None:
        if self.outcome is None:
            reason = (
                OUT_OF_MEMORY if self.out_of_memory and code == 137 else "Essential container in task exited"
            )
            self.outcome = Outcome(code=EXITED, reason=reason)
            _log.warning("%s: exited with %d: %s", self.label, code, reason)
        else:
            _log.info("%s: stopped, exit code %d", self.label, code)
        self.outcome.exit_code = code

    async def _start(
        self, command: tuple[str, ...], container: Container, *, log: Path, name: str
    ) -> process.Process:
        return await process.start(
            command,
            environment=container.environment,
            directory=container.working_directory,
            log=log,
            pid_file=self.directory / f"{name}.pid",
        )

    async def _check(self, container: Container, changed: Callable[[], None]) -> None:
        """Run the container's health check again and again; the plan replaces what is unhealthy."""
        check = container.definition.health_check
        begun = time.monotonic()
        while check is not None:
            await asyncio.sleep(
                next_check_seconds(self._verdict, check, age_seconds=time.monotonic() - begun)
            )
            passed = await self._passes(check, container)
            before = self._verdict.health
            self._verdict = after(self._verdict, check, passed=passed, age_seconds=time.monotonic() - begun)
            if self._verdict.health is not before:
                self._tell_health()
                changed()

    def _tell_health(self) -> None:
        if self.health is Health.UNHEALTHY:
            _log.warning(
                "%s: unhealthy; its last check said: %s", self.label, self._last_check_output or "nothing"
            )
        else:
            _log.info("%s: healthy", self.label)

    async def _passes(self, check: HealthCheck, container: Container) -> bool:
        output = self.directory / "health.log"
        output.unlink(missing_ok=True)
        run = await self._start(check.command, container, log=output, name="health")
        try:
            code = await asyncio.wait_for(run.wait(), check.timeout_seconds)
        except TimeoutError:
            self._last_check_output = f"no answer within {check.timeout_seconds:g} s"
            return False
        finally:
            run.kill()
        self._last_check_output = output.read_text(errors="replace").strip()[-300:]
        return code == 0
