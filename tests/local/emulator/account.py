"""The emulated account as `make up` starts it, and stacks made in it without the CDK."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.support.processes import free_port, stop, wait_for

BROKER_PORT = 16379


class Account:
    """``keep``: in this folder, so that it survives a kill. ``calls``: who asks for what is written there."""

    def __init__(self, *, keep: Path | None = None, calls: Path | None = None) -> None:
        self.port, self._keep, self.calls = free_port(), keep, calls
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        command = [sys.executable, "-m", "local.emulator", "--port", str(self.port)]
        command += ["--broker-port", str(BROKER_PORT)]
        command += ["--account", str(self._keep)] if self._keep else []
        command += ["--calls", str(self.calls)] if self.calls else []
        self.process = subprocess.Popen(command)
        if wait:
            wait_for(self.answers, seconds=60, what="the emulated account")

    def answers(self) -> bool:
        try:
            return self.local("GET", "/_local/health")["ready"] is True
        except (urllib.error.URLError, OSError):
            return False

    def wait_until_saved(self) -> None:
        """Until everything that was done up to now is on disk."""
        wait_for(lambda: not self.local("GET", "/_local/health")["unsaved"], seconds=60, what="the saving")

    def stop(self) -> None:
        if self.process is not None:
            stop(self.process)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def client(
        self,
        service: str,
        config: Config | None = None,
        *,
        account: str = "test",
        region: str = "us-east-1",
    ) -> Any:
        """In the account that its access key says (ministack), or its own."""
        return boto3.client(
            service,
            config=config,
            endpoint_url=f"http://localhost:{self.port}",
            region_name=region,
            aws_access_key_id=account,
            aws_secret_access_key="test",
        )

    def local(self, method: str, path: str, body: object = None) -> Any:
        """One of the paths of the emulator's own."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310 - loopback
            return json.load(reply)

    def report(self, tasks: Iterable[dict[str, Any]]) -> Any:
        """As the agent does."""
        return self.local("PUT", "/_local/ecs/tasks", {"tasks": list(tasks)})

    def deploy(
        self, name: str, resources: dict[str, Any], outputs: dict[str, Any] | None = None
    ) -> dict[str, str]:
        """Create or update a stack; its outputs. AssertionError with the failed resources' reasons."""
        stacks = self.client("cloudformation")
        template = {"Resources": resources, "Outputs": {k: {"Value": v} for k, v in (outputs or {}).items()}}
        known = [s["StackName"] for s in stacks.describe_stacks()["Stacks"]]
        operation = stacks.update_stack if name in known else stacks.create_stack
        operation(StackName=name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_NAMED_IAM"])
        status = self.settled(name)
        assert status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), self.failures(name)
        stack = stacks.describe_stacks(StackName=name)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def settled(self, name: str) -> str:
        """The status of a stack once no operation works on it."""
        stacks = self.client("cloudformation")

        def status() -> str:
            return str(stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])

        wait_for(
            lambda: not status().endswith("_IN_PROGRESS"), seconds=30, what=f"an end of {name}'s operation"
        )
        return status()

    def failures(self, name: str) -> list[str]:
        events = self.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
        return [e["ResourceStatusReason"] for e in events if e["ResourceStatus"].endswith("_FAILED")]

    def delete(self, name: str) -> None:
        stacks = self.client("cloudformation")
        stacks.delete_stack(StackName=name)
        wait_for(
            lambda: name not in [s["StackName"] for s in stacks.describe_stacks()["Stacks"]],
            what=f"the end of {name}",
        )


class Agent:
    """Reports tasks every 0.2 s, in a thread: as many of each service as desired, or failing ones."""

    def __init__(self, account: Account, *, cluster: str) -> None:
        self._account, self._cluster = account, cluster
        self.broken: set[str] = set()  # families whose tasks never start
        self.answers: list[Any] = []
        self._stop = threading.Event()
        self._failed: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Agent:
        self._account.client("ecs").create_cluster(clusterName=self._cluster)
        self._thread.start()
        wait_for(lambda: self.answers, what="the agent's first report")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        ecs = self._account.client("ecs")
        while not self._stop.wait(0.2):
            arns = ecs.list_services(cluster=self._cluster)["serviceArns"]
            services = ecs.describe_services(cluster=self._cluster, services=arns)["services"] if arns else []
            tasks = [task for service in services for task in self._tasks(service)]
            self.answers.append(self._account.report([*tasks, *self._failed]))

    def _tasks(self, service: dict[str, Any]) -> list[dict[str, Any]]:
        definition = service["taskDefinition"]
        family = definition.rpartition("/")[2].partition(":")[0]
        if family in self.broken or definition in self.broken:
            stopped = {"lastStatus": "STOPPED", "desiredStatus": "STOPPED", "stopCode": "TaskFailedToStart"}
            self._failed.append(task(service["serviceName"], definition, self._cluster, **stopped))
            return []
        name = service["serviceName"]
        return [
            task(name, definition, self._cluster, id=f"{abs(hash((name, definition, n))):032x}")
            for n in range(service["desiredCount"])
        ]


def task(service: str, definition: str, cluster: str, **fields: Any) -> dict[str, Any]:
    """A line of the agent's report."""
    return {
        "id": f"{time.monotonic_ns():032x}",
        "cluster": cluster,
        "service": service,
        "taskDefinition": definition,
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
        "healthStatus": "UNKNOWN",
        "createdAt": time.time(),
        "startedAt": time.time(),
        **fields,
    }
