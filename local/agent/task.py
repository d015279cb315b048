"""One task from its creation until it has stopped: prepare, run, check, stop."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from local.agent import process, sweep
from local.agent.checks import Checks
from local.agent.definitions import Definition, StartError
from local.agent.health import Health
from local.agent.model import Revision, Run, RunningTask, ServiceName

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
    """A task of a service, or of RunTask (``asked``). ``run`` drives it to its end and never raises."""

    def __init__(
        self,
        service: ServiceName,
        revision: Revision,
        *,
        directory: Path,
        log: Path,
        asked: Run | None = None,
    ) -> None:
        self.id = asked.id if asked else uuid.uuid4().hex
        self.asked = asked
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
        self.metrics_port: int | None = None
        self._stop = asyncio.Event()
        self._checks: Checks | None = None

    @property
    def label(self) -> str:
        """What the log calls it."""
        return f"{self.service.name} {self.id[:8]}"

    @property
    def health(self) -> Health:
        """What the health checks say so far."""
        return self._checks.health if self._checks is not None else Health.UNKNOWN

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
        self.stopped_at = time.time()
        await asyncio.to_thread(sweep.remove, self.directory)
        self.status = "STOPPED"
        changed()

    async def _run(self, container: Container, changed: Callable[[], None]) -> None:
        self.process = await process.start(
            container.definition.command,
            environment=container.environment,
            directory=container.working_directory,
            log=self.log,
            pid_file=self.directory / "main.pid",
        )
        sweep.record(self.directory, self.process.session)
        if not await self.process.started():
            self._not_started(container.definition.command[0], await self.process.wait())
            return
        self.status, self.started_at = "RUNNING", time.time()
        _log.info("%s: started, output in %s", self.label, self.log)
        changed()
        checks = asyncio.create_task(self._check(container, changed))
        self._ended(await self._until_exit(self.process, container.definition.stop_timeout_seconds, changed))
        checks.cancel()
        await asyncio.gather(checks, return_exceptions=True)

    async def _check(self, container: Container, changed: Callable[[], None]) -> None:
        if (check := container.definition.health_check) is not None:
            self._checks = Checks(self.label, private=self.directory, changed=changed)
            await self._checks.run(
                check, environment=container.environment, directory=container.working_directory
            )

    async def _until_exit(
        self, main: process.Process, stop_timeout_seconds: float, changed: Callable[[], None]
    ) -> int:
        """The exit code, by itself or because the task was told to stop."""
        exited = asyncio.create_task(main.wait())
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({exited, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not exited.done():
            self.status = "STOPPING"
            changed()
            await self._end(main, exited, stop_timeout_seconds)
        return await exited

    async def _end(self, main: process.Process, exited: asyncio.Task[int], timeout_seconds: float) -> None:
        """SIGTERM, the stop timeout, SIGKILL to all of it."""
        main.terminate()
        await asyncio.wait({exited}, timeout=timeout_seconds)
        if not exited.done():
            _log.warning("%s: still there %g s after SIGTERM: killed", self.label, timeout_seconds)
            main.kill()

    def _not_started(self, command: str, code: int) -> None:
        reason = f"CannotStartContainerError: {command!r}: see {self.log}"
        self.outcome = self.outcome or Outcome(code=FAILED_TO_START, reason=reason)
        self.outcome.exit_code = code
        _log.warning("%s: %s", self.label, reason)

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
