"""The tasks of this machine: those that run, and what to tell about those that stopped."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from local.agent import awslogs, report
from local.agent.backoff import Backoff
from local.agent.endpoint import Protections
from local.agent.model import Revision, Run, RunningTask, Service, ServiceName
from local.agent.settings import AgentSettings
from local.agent.task import EXITED, FAILED_TO_START, Prepare, Task

# ECS shows stopped tasks for about an hour; the emulator keeps the last ten minutes.
STOPPED_SECONDS = 600.0
STOPPED_KEPT = 200


class Roster:
    """Starts tasks and keeps them until they have stopped. ``changed`` is called whenever one changes."""

    def __init__(
        self,
        settings: AgentSettings,
        prepare: Prepare,
        protections: Protections,
        changed: Callable[[], None],
        *,
        logs: Any,
    ) -> None:
        self._settings, self._prepare, self._logs = settings, prepare, logs
        self._protections, self._changed = protections, changed
        self._running: dict[str, tuple[Task, asyncio.Task[None]]] = {}
        self._stopped: deque[dict[str, Any]] = deque(maxlen=STOPPED_KEPT)
        self._backoff = Backoff()

    @property
    def tasks(self) -> list[Task]:
        """Those that have not stopped yet."""
        return [task for task, _ in self._running.values()]

    def views(self) -> list[RunningTask]:
        """Those of services, for the plan."""
        return [
            task.view(protected=self._protections.until(task.id) is not None)
            for task in self.tasks
            if task.asked is None
        ]

    def held(self, services: Iterable[Service]) -> set[ServiceName]:
        """Services that have to wait with their next start."""
        now = time.monotonic()
        return {s.id for s in services if self._backoff.held(s.id, s.revision, now=now)}

    def report(self) -> list[dict[str, Any]]:
        """Every task, in the form that the emulated ECS takes."""
        since = time.time() - STOPPED_SECONDS
        recent = [stopped for stopped in self._stopped if stopped["stoppedAt"] >= since]
        return [*(report.as_reported(task) for task in self.tasks), *recent]

    def start(self, service: Service) -> None:
        """Start one more task of the service."""
        logs = self._settings.logs / service.id.name
        task = Task(service.id, service.revision, directory=self._settings.tasks, log=logs)
        self._running[task.id] = (task, asyncio.create_task(self._see_through(task)))

    def run(self, asked: Run) -> None:
        """Start what RunTask asked for, once; its output goes to CloudWatch Logs, where it is followed."""
        if asked.id in self._running or any(stopped["id"] == asked.id for stopped in self._stopped):
            return
        task = Task(
            ServiceName(asked.cluster, asked.name),
            Revision(asked.task_definition, ""),
            directory=self._settings.tasks,
            log=self._settings.logs / asked.name,
            asked=asked,
        )
        self._running[task.id] = (task, asyncio.create_task(self._see_run_through(task)))

    def stop(self, task_id: str, reason: str, *, code: str | None = None) -> None:
        """Stop a task, if it is still there."""
        if task_id in self._running:
            task, _ = self._running[task_id]
            task.stop(reason, **({"code": code} if code else {}))

    async def stop_all(self, reason: str, *, seconds: float) -> None:
        """Stop everything; what is still there after ``seconds`` is killed."""
        for task in self.tasks:
            task.stop(reason)
        ends = [end for _, end in self._running.values()]
        _, late = await asyncio.wait(ends, timeout=seconds) if ends else (set(), set())
        for task in self.tasks if late else ():
            if task.process is not None:
                task.process.kill()
        if late:
            await asyncio.wait(late)

    async def _see_run_through(self, task: Task) -> None:
        shipping = asyncio.create_task(awslogs.ship(task, self._logs))
        await self._see_through(task)
        await shipping

    async def _see_through(self, task: Task) -> None:
        try:
            await task.run(self._prepare, changed=self._changed)
        finally:
            del self._running[task.id]
        self._stopped.append(report.as_reported(task))
        self._protections.forget(task.id)
        failed = task.outcome is not None and task.outcome.code in (EXITED, FAILED_TO_START)
        if failed and task.asked is None:
            ran = task.stopped_at - task.started_at if task.started_at and task.stopped_at else None
            delay = self._backoff.exited(task.service, task.revision, ran_seconds=ran, now=time.monotonic())
            task.tell_delay(delay)
        self._changed()
