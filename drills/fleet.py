"""The local fleet as a drill sees it: workers to kill, a broker to break, queues to count."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from taskfleet.contract import names
from taskfleet.contract.environment import ENVIRONMENT

from local import fleet_environment
from local.agent import procfs
from local.agent.process import kill_session
from local.broker import control
from local.broker.faults import Fault
from local.places import Places
from local.supervisor.fleet import BROKER
from local.supervisor.status import Status


@dataclass(frozen=True)
class Worker:
    """A running container. ``session`` holds all its processes, ``pid`` is its command."""

    container: str
    service: str
    session: int
    pid: int

    def pids(self) -> frozenset[int]:
        """Every process of it, children included."""
        return frozenset(process.pid for process in procfs.processes() if process.session == self.session)

    def kill(self) -> None:
        """SIGKILL all of it at once, as a lost machine does."""
        kill_session(self.session)


class Fleet:
    """The fleet that `make up` started. Raises `local.fleet_environment.NotUp` without one."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.environment: Mapping[str, str] = fleet_environment.of_producer(places)

    def workers(self, *pools: str) -> list[Worker]:
        """The running workers of these pools on the primary broker, of all releases."""
        return [worker for worker in self.containers() if _is_of(worker.service, pools)]

    def containers(self) -> list[Worker]:
        """Everything that the agent runs: workers of both brokers, the controller, beat."""
        records = sorted((self.places.root / "tasks").glob("*/session.json"))
        return [worker for record in records if (worker := self._worker(record)) is not None]

    def _worker(self, record: Path) -> Worker | None:
        container = record.parent.name
        try:
            session = json.loads(record.read_text())["session"]
            pid = int((record.parent / "main.pid").read_text())
        except (OSError, ValueError):
            return None  # it is starting, or ends just now
        logs = list(self.places.logs.glob(f"*/{container}.log"))
        return Worker(container, logs[0].parent.name, session, pid) if logs else None

    def broker_pid(self) -> int:
        """The primary broker's process. Raises ``RuntimeError`` if it does not run."""
        status = Status.read(self.places.status)
        pid = status.children[BROKER].pid if status and BROKER in status.children else None
        if pid is None:
            raise RuntimeError(f"the broker does not run, says {self.places.status}")
        return pid

    def kill_broker(self) -> None:
        """SIGKILL it, and refuse connections until `heal`: the supervisor starts it again at once."""
        self.fault(Fault.REFUSE)
        os.kill(self.broker_pid(), signal.SIGKILL)

    def fault(self, fault: Fault) -> None:
        """Let the broker's front fail so."""
        control.send(self.places.front_control, fault)

    def heal(self) -> None:
        """Undo every fault of the front."""
        self.fault(Fault.PASS)

    def client(self, service: str) -> Any:
        """A boto3 client of the fleet's account."""
        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name=self.environment.get("AWS_REGION", "us-east-1"),
            aws_access_key_id=self.environment.get("AWS_ACCESS_KEY_ID", "test"),
            aws_secret_access_key=self.environment.get("AWS_SECRET_ACCESS_KEY", "test"),
        )

    def parked(self) -> int:
        """Messages in all dead-letter queues."""
        sqs = self.client("sqs")
        prefix = names.dead_letter_queue(self.environment[ENVIRONMENT.name], "x").removesuffix("x")
        total = 0
        for url in sqs.list_queues(QueueNamePrefix=prefix).get("QueueUrls", ()):
            found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
            total += int(found["Attributes"]["ApproximateNumberOfMessages"])
        return total


def _is_of(service: str, pools: tuple[str, ...]) -> bool:
    fallback = names.service("x", "y", fallback=True).removeprefix(names.service("x", "y"))
    return not service.endswith(fallback) and any(service.startswith(f"{pool}-") for pool in pools)
