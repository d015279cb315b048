"""What ECS does for the releases of a drill: a worker, or beat, for each service of a stack that wants one,
and one-off tasks.
"""

from __future__ import annotations

import logging
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from taskfleet.contract import names
from taskfleet.contract.container import NAME
from taskfleet.contract.environment import (
    APP,
    BROKER,
    CONCURRENCY,
    EXECUTION,
    FALLBACK,
    POOL,
    PRIMARY,
    RELEASE,
)

from drills.releases.stack import POOL as POOL_NAME
from drills.releases.stack import QUEUES
from drills.worker import SupervisedProcess, Worker
from local.agent import report
from local.agent.model import Run
from local.places import REPOSITORY
from tests.support.tiny_fleet import TinyFleet

_EVERY_SECONDS = 0.3
_APP = "drills.releases.app:app"
_BEAT = names.beat_service("")

logger = logging.getLogger(__name__)


@dataclass
class Container:
    """The one task of a service."""

    service: str
    definition: str
    process: SupervisedProcess
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    at: float = field(default_factory=time.time)


@dataclass
class OneOff:
    """A task of RunTask's."""

    run: Run
    process: subprocess.Popen[bytes]
    output: Any
    at: float = field(default_factory=time.time)
    stopped_at: float | None = None


class Agent:
    """Runs what the account's ECS wants, and tells it. Close it."""

    def __init__(self, fleet: TinyFleet, variables: Mapping[str, str]) -> None:
        self._fleet, self._variables = fleet, dict(variables)
        self._ecs = fleet.aws.client("ecs")
        self._cluster = names.cluster(fleet.name)
        self._ecs.create_cluster(clusterName=self._cluster)
        self.containers: dict[str, Container] = {}
        self._one_offs: dict[str, OneOff] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="agent", daemon=True)
        self._thread.start()

    def workers(self, release: str) -> list[Worker]:
        """Of a release, on both brokers."""
        services = {names.service(POOL_NAME, release, fallback=fallback) for fallback in (False, True)}
        running = [one for one in list(self.containers.values()) if one.service in services]
        return [one.process for one in running if isinstance(one.process, Worker)]

    @property
    def services(self) -> set[str]:
        """Those that run."""
        return set(self.containers)

    def close(self) -> None:
        """End everything."""
        self._over.set()
        self._thread.join()
        for container in self.containers.values():
            container.process.stop()
        for one in self._one_offs.values():
            one.process.kill()
            one.process.wait()

    def _run(self) -> None:
        while not self._over.wait(_EVERY_SECONDS):
            try:
                self._step()
            except Exception:
                # The account may be told to fail; the next step makes it good.
                logger.exception("a step of the agent failed")

    def _step(self) -> None:
        wanted = {service["serviceName"]: service for service in self._services()}
        for name in set(self.containers) - set(wanted):
            self.containers.pop(name).process.stop()
        for name in sorted(set(wanted) - set(self.containers)):
            self.containers[name] = self._start(name, wanted[name]["taskDefinition"])
        for one in self._one_offs.values():
            self._look(one)
        said = report.send(self._fleet.aws.endpoint, self._reported())
        for run in said.run:
            if run.id not in self._one_offs:
                self._one_offs[run.id] = self._begin(run)
        for id in said.stop:
            if id in self._one_offs:
                self._one_offs[id].process.kill()

    def _services(self) -> Iterator[Mapping[str, Any]]:
        arns = [
            arn
            for page in self._ecs.get_paginator("list_services").paginate(cluster=self._cluster)
            for arn in page["serviceArns"]
        ]
        for first in range(0, len(arns), 10):
            found = self._ecs.describe_services(cluster=self._cluster, services=arns[first : first + 10])
            yield from (
                service
                for service in found["services"]
                if service["status"] == "ACTIVE" and service["desiredCount"]
            )

    def _start(self, service: str, definition: str) -> Container:
        made = self._beat if service.startswith(_BEAT) else self._worker
        process = made(service, self._own_variables(definition))
        process.start()
        return Container(service, definition, process)

    def _beat(self, service: str, own: Mapping[str, str]) -> SupervisedProcess:
        variables = {RELEASE.name: service.removeprefix(_BEAT), "PYTHONPATH": str(REPOSITORY)}
        environment = self._fleet.environment(**{APP.name: _APP, **variables, **self._variables, **own})
        place = self._fleet.directory / service
        return SupervisedProcess(service, place, ("taskfleet", "beat"), environment, ready="beat: Starting")

    def _worker(self, service: str, own: Mapping[str, str]) -> Worker:
        broker = FALLBACK if service.endswith("-fallback") else PRIMARY
        release = service.removeprefix(f"{POOL_NAME}-").removesuffix("-fallback")
        variables = {
            APP.name: _APP,
            POOL.name: POOL_NAME,
            BROKER.name: broker,
            CONCURRENCY.name: "2",
            EXECUTION.name: "prefork" if broker == PRIMARY else "threads",
            **self._variables,
            **own,
        }
        return Worker(self._fleet, service, release, ",".join(QUEUES), variables=variables)

    def _own_variables(self, definition: str) -> dict[str, str]:
        (container,) = self._ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"][
            "containerDefinitions"
        ]
        return {one["name"]: one["value"] for one in container.get("environment", ())}

    def _begin(self, run: Run) -> OneOff:
        output = (self._fleet.directory / f"{run.id}.log").open("wb")
        environment = self._fleet.environment(**self._variables, PYTHONPATH=str(REPOSITORY))
        process = subprocess.Popen(
            list(run.command), env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        return OneOff(run, process, output)

    def _look(self, one: OneOff) -> None:
        if one.stopped_at is None and one.process.poll() is not None:
            one.stopped_at = time.time()
            one.output.close()
            self._keep_output(one)

    def _keep_output(self, one: OneOff) -> None:
        """To CloudWatch Logs, as the driver `awslogs` does."""
        family = one.run.task_definition.rpartition("/")[2].rpartition(":")[0]
        service = family.removeprefix(f"{names.PROJECT}-{self._fleet.name}-")
        logs, group = self._fleet.aws.client("logs"), names.log_group(self._fleet.name, service)
        stream, at = f"{service}/{NAME}/{one.run.id}", int(time.time() * 1000)
        lines = (self._fleet.directory / f"{one.run.id}.log").read_text().splitlines()
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        if lines:
            events = [{"timestamp": at, "message": line} for line in lines]
            logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    def _reported(self) -> Iterator[dict[str, Any]]:
        for container in self.containers.values():
            yield {
                "id": container.id,
                "cluster": self._cluster,
                "service": container.service,
                "taskDefinition": container.definition,
                "lastStatus": "RUNNING",
                "desiredStatus": "RUNNING",
                "healthStatus": "UNKNOWN",
                "createdAt": container.at,
                "startedAt": container.at,
            }
        for one in self._one_offs.values():
            ended = one.stopped_at is not None
            yield {
                "id": one.run.id,
                "cluster": one.run.cluster,
                "group": one.run.group,
                "startedBy": one.run.started_by,
                "taskDefinition": one.run.task_definition,
                "lastStatus": "STOPPED" if ended else "RUNNING",
                "desiredStatus": "STOPPED" if ended else "RUNNING",
                "createdAt": one.at,
                "startedAt": one.at,
                "stoppedAt": one.stopped_at,
                "stopCode": "EssentialContainerExited" if ended else None,
                "stoppedReason": "Essential container in task exited" if ended else None,
                "exitCode": one.process.returncode,
            }
