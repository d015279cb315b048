"""The agent's loop: look, plan, act, report."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError
from taskfleet.contract import images

from local.agent import memory, report, scraping
from local.agent.account import Account
from local.agent.definitions import StartError
from local.agent.endpoint import Endpoint, Protections
from local.agent.model import Service, ServiceName, Start
from local.agent.prepare import Preparer
from local.agent.reload import Reloads, watch
from local.agent.roster import Roster
from local.agent.scheduler import plan
from local.agent.settings import AgentSettings
from local.agent.task import USER

_log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
# When the agent is told to end, containers get this long, whatever their stop timeout.
SHUTDOWN_SECONDS = 20.0


@dataclass(frozen=True)
class Seen:
    """What ECS wants: its services, and which of them run the live image."""

    services: list[Service]
    live: Collection[ServiceName]


class Agent:
    """``run`` until ``stop`` is called; a second ``stop`` kills what is left."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self._account = Account(endpoint=settings.endpoint, region=settings.region)
        self._protections = Protections()
        self._endpoint = Endpoint(self._protections, self._ask_for_protection)
        self._wake, self._ending = asyncio.Event(), asyncio.Event()
        preparer = Preparer.of(settings, self._account, self._endpoint.uri)
        self._roster = Roster(
            settings, preparer, self._protections, self._wake.set, logs=self._account.client("logs")
        )
        self._reloads = Reloads()
        self._problems: dict[str, str] = {}

    def stop(self) -> None:
        """End in an orderly way."""
        if self._ending.is_set():
            for task in self._roster.tasks:
                if task.process is not None:
                    task.process.kill()
        self._ending.set()
        self._wake.set()

    async def run(self) -> None:
        """Look every second, and at once after a change. Raises what nobody foresaw: none is better."""
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(self._watch_files()),
                group.create_task(self._watch_memory()),
            ]
            while not self._ending.is_set():
                await self._turn()
            await self._roster.stop_all("the agent was stopped", seconds=SHUTDOWN_SECONDS)
            self._list()
            for task in background:
                task.cancel()
        self._endpoint.close()

    async def _turn(self) -> None:
        self._wake.clear()
        await self._look_and_act()
        self._list()
        await self._report()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._wake.wait()

    async def _look_and_act(self) -> None:
        try:
            seen = await asyncio.to_thread(self._look)
        except (BotoCoreError, ClientError) as error:
            # Unknown is not zero: without an answer everything stays as it is.
            self._problem("looking", f"ECS can't be read, nothing is started or stopped: {error}")
            return
        self._problem("looking", "")
        views = self._roster.views()
        services = self._reloads.apply(seen.services, live=seen.live, tasks=views)
        for action in plan(services, views, held=self._roster.held(services)):
            if isinstance(action, Start):
                self._roster.start(action.service)
            else:
                self._roster.stop(action.task, action.reason)

    def _look(self) -> Seen:
        services = self._account.services()
        return Seen(services, {service.id for service in services if self._is_live(service)})

    def _ask_for_protection(self, task_id: str, protected: bool, minutes: int) -> None:
        task = next((one for one in self._roster.tasks if one.id == task_id), None)
        if task is not None and task.definition is not None:
            self._account.protect(task_id, task.service.cluster, task.definition.role, protected, minutes)

    def _is_live(self, service: Service) -> bool:
        try:
            return self._account.definition(service.revision.task_definition).image == images.LIVE
        except StartError:  # it can't run at all, and will say so when it is tried
            return False

    def _list(self) -> None:
        try:
            scraping.write(self._settings.scraped, self._roster.tasks)
        except OSError as error:
            self._problem("listing", f"Prometheus finds no container, {self._settings.scraped}: {error}")
        else:
            self._problem("listing", "")

    async def _report(self) -> None:
        try:
            answer = await asyncio.to_thread(report.send, self._settings.endpoint, self._roster.report())
        except (OSError, ValueError) as error:
            self._problem("reporting", f"the emulated ECS does not take the report: {error}")
            return
        self._problem("reporting", "")
        for asked in answer.run:
            self._roster.run(asked)
        for task in answer.stop:
            self._roster.stop(task, "Task stopped by user", code=USER)
        self._protections.api_says(answer.protected)

    async def _watch_files(self) -> None:
        def changed() -> None:
            self._reloads.changed()
            self._wake.set()

        await watch(self._settings.live_source, changed=changed, stop=self._ending)

    async def _watch_memory(self) -> None:
        while True:
            memory.enforce(self._roster.tasks)
            await asyncio.sleep(LOOK_SECONDS)

    def _problem(self, what: str, text: str) -> None:
        """Say a problem once, and once when it is over; an empty text says that there is none."""
        before = self._problems.get(what, "")
        self._problems[what] = text
        if text and not before:
            _log.warning("%s", text)
        elif before and not text:
            _log.info("%s: works again", what)
