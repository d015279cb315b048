"""Get everything together that a task's container needs, just before it starts."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local import container_logs
from local.agent import environment, scraping
from local.agent.account import Account
from local.agent.definitions import Definition
from local.agent.images import Images
from local.agent.secrets import Secrets
from local.agent.settings import AgentSettings
from local.agent.task import Container, Task
from local.places import REPOSITORY

# Older logs of a service are removed, or a crash loop would fill the disk with files.
LOGS_KEPT = 20


@dataclass(frozen=True)
class Preparer:
    """Call it with a task. Raises `StartError`, botocore's errors or OSError; the task then reports it."""

    settings: AgentSettings
    account: Account
    images: Images
    secrets: Secrets
    agent_uri: Callable[[str], str]

    @classmethod
    def of(cls, settings: AgentSettings, account: Account, agent_uri: Callable[[str], str]) -> Preparer:
        """With the clients of the account."""
        images = Images(s3=account.client("s3"), directory=settings.images, live_source=settings.live_source)
        secrets = Secrets(secretsmanager=account.client("secretsmanager"), ssm=account.client("ssm"))
        return cls(settings, account, images, secrets, agent_uri)

    async def __call__(self, task: Task) -> Container:
        """The container, with its image there, its secrets resolved and its directories made."""
        return await asyncio.to_thread(self._prepare, task)

    def _prepare(self, task: Task) -> Container:
        definition = self.account.definition(task.revision.task_definition)
        if task.asked is not None:
            definition = definition.of_run(task.asked.command, task.asked.environment)
        image = self.images.resolve(definition.image)
        values = self._environment(task, definition, image)
        for private in ("home", "tmp"):
            (task.directory / private).mkdir(parents=True, exist_ok=True)
        for shared in (task.log.parent, self.settings.journal):
            shared.mkdir(parents=True, exist_ok=True)
        self._remove_old_logs(task.log.parent)
        self._link_drills()
        directory = task.directory / "home"
        if definition.working_directory and Path(definition.working_directory).is_dir():
            directory = Path(definition.working_directory)
        return Container(definition, values, directory)

    def _environment(self, task: Task, definition: Definition, image: Path) -> dict[str, str]:
        task.metrics_port = scraping.free_port()
        machine = environment.of_machine(
            endpoint=self.settings.endpoint,
            region=self.settings.region,
            certificate=self.settings.certificate,
            journal=self.settings.journal,
            # Not resolved: the virtual environment's own directory has the packages, the link's target not.
            python_directory=Path(sys.executable).parent,
        )
        return environment.of_container(
            machine=machine,
            task_id=task.id,
            directory=task.directory,
            image=image,
            drills=self.settings.drills,
            agent_uri=self.agent_uri(task.id),
            role=definition.role,
            metrics_port=task.metrics_port,
            defined=definition.environment,
            secrets=self.secrets.resolve(definition.secrets),
        )

    def _link_drills(self) -> None:
        self.settings.drills.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            (self.settings.drills / "drills").symlink_to(REPOSITORY / "drills")

    def _remove_old_logs(self, directory: Path) -> None:
        for file in container_logs.oldest_first(directory)[: -(LOGS_KEPT - 1)]:
            if not (self.settings.tasks / file.stem).exists():  # it still runs, only quietly
                file.unlink(missing_ok=True)
