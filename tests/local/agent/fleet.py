"""A real emulated account with a real agent, and short ways to ask them things."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import boto3
from taskfleet.contract import images

from local.agent import procfs
from tests.support import processes
from tests.support.processes import free_port, stop

CLUSTER = "fleet"
REPOSITORY = Path(__file__).resolve().parents[3]


def wait_for(happened: Callable[[], object], *, what: str) -> None:
    """Patient: other tests may load the machine."""
    processes.wait_for(happened, seconds=60, what=what)


class Emulator:
    """``python -m local.emulator`` on a free port, in memory."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self._log = directory / "emulator.log"

    def start(self) -> None:
        """Return once it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "local.emulator", "--port", str(self.port)],
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
            )
        wait_for(self._answers, what="the emulated account")

    def stop(self) -> None:
        """End it."""
        stop(self._process)

    def client(self, service: str) -> Any:
        """A boto3 client."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_local/health", timeout=1) as reply:  # noqa: S310 - loopback
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False


class Fleet:
    """One agent with directories of its own; ``source`` is what the live image runs."""

    def __init__(self, emulator: Emulator, directory: Path) -> None:
        self.emulator, self.directory = emulator, directory / "local"
        self.source = directory / "source"
        self.source.mkdir()
        self.ecs = emulator.client("ecs")
        self._log = directory / "agent.log"
        self.agent: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the agent, with variables in its environment that no container may see."""
        starts = self.events.count("runs the services")
        with self._log.open("ab") as log:
            self.agent = subprocess.Popen(
                [
                    *(sys.executable, "-m", "local.agent", "--endpoint", self.emulator.url),
                    *("--local-dir", str(self.directory), "--live-source", str(self.source)),
                ],
                cwd=REPOSITORY,
                env={**os.environ, "LEAKED": "from the agent", "PYTHONPATH": "/leaked"},
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: self.events.count("runs the services") > starts, what="the agent's start")

    def clear(self) -> None:
        """Delete the services, and wait until their tasks are gone."""
        for arn in self.ecs.list_services(cluster=CLUSTER)["serviceArns"]:
            self.ecs.delete_service(cluster=CLUSTER, service=arn, force=True)
        tasks = self.directory / "tasks"
        wait_for(lambda: not tasks.exists() or not list(tasks.iterdir()), what="the end of all tasks")

    def close(self) -> None:
        """Delete the services and end the agent; it must not act in the next file's tests."""
        try:
            self.clear()
        finally:
            if self.agent is not None:
                stop(self.agent, seconds=15)

    @property
    def events(self) -> str:
        """The agent's log."""
        return self._log.read_text() if self._log.exists() else ""

    def define(self, family: str, command: Sequence[str], **container: Any) -> str:
        """Register a task definition of one container, of the live image unless said; its ARN."""
        main = {"name": "main", "image": images.LIVE, "command": list(command), **container}
        made = self.ecs.register_task_definition(family=family, containerDefinitions=[main])
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def serve(self, name: str, command: Sequence[str], *, desired: int = 1, **container: Any) -> str:
        """Create a service; the ARN of its task definition."""
        bounds = container.pop("bounds", {"minimumHealthyPercent": 100, "maximumPercent": 200})
        arn = self.define(name, command, **container)
        self.ecs.create_service(
            cluster=CLUSTER,
            serviceName=name,
            taskDefinition=arn,
            desiredCount=desired,
            deploymentConfiguration=bounds,
        )
        return arn

    def service(self, name: str) -> dict[str, Any]:
        """As DescribeServices returns it."""
        found: dict[str, Any] = self.ecs.describe_services(cluster=CLUSTER, services=[name])["services"][0]
        return found

    def tasks(self, name: str, status: str = "RUNNING") -> list[dict[str, Any]]:
        """As DescribeTasks returns them, those whose last status is ``status``, oldest first."""
        list_tasks = self.ecs.list_tasks
        arns = [
            arn
            for desired in ("RUNNING", "STOPPED")
            for arn in list_tasks(cluster=CLUSTER, serviceName=name, desiredStatus=desired)["taskArns"]
        ]
        found = self.ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []
        return sorted((t for t in found if t["lastStatus"] == status), key=lambda t: str(t["createdAt"]))

    def running(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until exactly so many tasks of the service run; they."""
        wait_for(
            lambda: len(self.tasks(name)) == count,
            what=f"{count} running tasks of {name}: {self.events}",
        )
        return self.tasks(name)

    def logs(self, name: str) -> list[str]:
        """What each task of the service wrote, oldest first."""
        files = sorted((self.directory / "logs" / name).glob("*.log"), key=lambda file: file.stat().st_ctime)
        return [file.read_text() for file in files]


def pid_of(task: dict[str, Any]) -> int:
    """The process id of the task's command."""
    return int(task["containers"][0]["runtimeId"])


def environment_of(task: dict[str, Any]) -> dict[str, str]:
    """What the kernel says the task's command was started with."""
    raw = Path(f"/proc/{pid_of(task)}/environ").read_text()
    return dict(line.split("=", 1) for line in raw.split("\0") if line)


def exists(pid: int) -> bool:
    """Whether the process lives (a zombie does not)."""
    return procfs.read(pid) is not None


def python(script: str) -> list[str]:
    """A command that runs a few lines of Python."""
    return ["python", "-c", script]


def deployed(fleet: Fleet, name: str) -> bool:
    """Whether ECS calls the service's deployment complete."""
    deployments = fleet.service(name)["deployments"]
    return [d["rolloutState"] for d in deployments] == ["COMPLETED"]
