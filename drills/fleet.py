"""The local fleet as a drill sees it: workers to kill, a broker to break, queues to count."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import redis
from botocore.config import Config
from redis.backoff import NoBackoff
from redis.retry import Retry
from taskfleet.contract import names, parameters
from taskfleet.contract.environment import ENVIRONMENT
from taskfleet.dead_letters.store import DeadLetters

from local import fleet_environment
from local.agent import procfs
from local.agent.process import kill_session
from local.agent.scheduler import SCALED_IN
from local.broker import control, failover, nodes
from local.broker.faults import Fault
from local.emulator.faults import PASS
from local.places import Places
from local.ports import Ports
from local.supervisor.status import Status

_NOBODY_PORT = 1  # of 127.0.0.1: privileged, and nobody listens there


@dataclass(frozen=True)
class Worker:
    """A running container. ``session`` holds all its processes, ``pid`` is its command."""

    container: str
    service: str
    session: int
    pid: int

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.service} {self.container[:6]}"

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
        self._hung: list[int] = []  # processes that were told to stop

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

    def tasks(self, containers: Collection[str]) -> list[dict[str, Any]]:
        """What ECS says of these containers."""
        if not containers:
            return []
        found = self.client("ecs").describe_tasks(cluster=self._cluster, tasks=list(containers))
        return list(found["tasks"])

    def gone(self, before: Collection[Worker]) -> int:
        """How many of these ended or run in another process now, but for those that scaling took away."""
        missing = set(before) - set(self.containers())
        stopped = self.tasks({worker.container for worker in missing})
        return len(missing) - len([task for task in stopped if task.get("stoppedReason") == SCALED_IN])

    def stop(self, container: str, reason: str) -> None:
        """Let ECS stop it, as it does when it takes capacity away."""
        self.client("ecs").stop_task(cluster=self._cluster, task=container, reason=reason)

    @contextlib.contextmanager
    def protected(self, *pools: str) -> Iterator[None]:
        """Scaling leaves the workers that these pools have now alone."""
        containers = [worker.container for worker in self.workers(*pools)]
        self._protect(containers, on=True)
        try:
            yield
        finally:
            running = {worker.container for worker in self.workers(*pools)}
            self._protect([one for one in containers if one in running], on=False)

    def _protect(self, containers: list[str], *, on: bool) -> None:
        if containers:
            self.client("ecs").update_task_protection(
                cluster=self._cluster, tasks=containers, protectionEnabled=on
            )

    @property
    def _cluster(self) -> str:
        return names.cluster(self.environment[ENVIRONMENT.name])

    def broker_pid(self) -> int:
        """The primary broker's process. Raises ``RuntimeError`` if it does not run."""
        status = Status.read(self.places.status)
        child = status.children.get(nodes.primary(self.places, self.ports).child) if status else None
        pid = child.pid if child else None
        if pid is None:
            raise RuntimeError(f"the broker does not run, says {self.places.status}")
        return pid

    def kill_broker(self) -> None:
        """SIGKILL it, and refuse connections until `heal`: the supervisor starts it again at once."""
        self.fault(Fault.REFUSE)
        os.kill(self.broker_pid(), signal.SIGKILL)

    def hang_broker(self) -> None:
        """SIGSTOP it until `heal`: it is there, takes connections, and answers nothing."""
        self._hang(self.broker_pid())

    def hang_workers(self, *pools: str) -> None:
        """SIGSTOP them until `go_on` or `heal`: what is published for them waits on the broker."""
        for worker in self.workers(*pools):
            for pid in worker.pids():
                self._hang(pid)

    def _hang(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            self._hung.append(pid)

    def go_on(self) -> None:
        """Let whatever hangs go on."""
        while self._hung:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._hung.pop(), signal.SIGCONT)

    def cut_broker(self) -> None:
        """Reset every connection, and refuse new ones until `heal`."""
        self.fault(Fault.REFUSE)
        self.fault(Fault.CUT)

    def cut_replica(self) -> None:
        """The replica hears nothing of its primary any more."""
        with self.node(nodes.replica(self.places, self.ports)) as replica:
            replica.execute_command("REPLICAOF", "127.0.0.1", _NOBODY_PORT)

    def fail_over(self) -> None:
        """Promote the replica and move the endpoint to it, as ElastiCache does."""
        failover.fail_over(self.places, self.ports, self.broker_password())

    def node(self, node: nodes.Node) -> redis.Redis:
        """A connection to one node itself, past the front."""
        return failover.client(node, self.broker_password())

    def broker(self, password: str) -> redis.Redis:
        """A connection as everybody makes one: through the front, with TLS."""
        return redis.Redis(
            host="localhost",
            port=self.ports.broker,
            password=password,
            ssl=True,
            ssl_ca_certs=str(self.places.ca),
            socket_timeout=5,
            retry=Retry(NoBackoff(), 0),
        )

    def broker_password(self) -> str:
        """From the deployed secret."""
        secret = names.broker_secret(self.environment[ENVIRONMENT.name])
        answer = self.client("secretsmanager").get_secret_value(SecretId=secret)
        return str(json.loads(answer["SecretString"])["password"])

    @property
    def ports(self) -> Ports:
        """The fleet's ports. Raises ``RuntimeError`` without them."""
        ports = Ports.load(self.places.ports)
        if ports is None:
            raise RuntimeError(f"there are no ports in {self.places.ports}")
        return ports

    def sqs_fault(self, fault: str) -> None:
        """Let SQS, and nothing else of the account, fail so (`local.emulator.faults`)."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.environment['AWS_ENDPOINT_URL']}/_local/faults",
            json.dumps({"service": "sqs", "fault": fault}).encode(),
            method="PUT",
        )
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310 - loopback
            pass

    def scale(self, service: str, count: int) -> None:
        """Want so many containers of a service, as somebody does in the console."""
        self.client("ecs").update_service(cluster=self._cluster, service=service, desiredCount=count)

    def rang(self, kind: str, *, since: float) -> bool:
        """Whether an alarm of this kind, of any pool or queue, has gone off since then."""
        prefix = names.alarm(self.environment[ENVIRONMENT.name], kind)
        cloudwatch = self.client("cloudwatch")
        found = cloudwatch.describe_alarms(AlarmNamePrefix=prefix)["MetricAlarms"]
        histories = [
            cloudwatch.describe_alarm_history(AlarmName=alarm["AlarmName"])["AlarmHistoryItems"]
            for alarm in found
        ]
        return any(
            item["Timestamp"].timestamp() >= since and "to ALARM" in item["HistorySummary"]
            for history in histories
            for item in history
        )

    def alarm_is_on(self, kind: str) -> bool:
        """Whether this alarm of the environment is in ALARM."""
        name = names.alarm(self.environment[ENVIRONMENT.name], kind)
        (alarm,) = self.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return bool(alarm["StateValue"] == "ALARM")

    def fault(self, fault: Fault) -> None:
        """Let the broker's front fail so."""
        control.send(self.places.front_control, fault)

    def heal(self) -> None:
        """Undo every fault of the front and of SQS, and let whatever hangs go on."""
        self.go_on()
        self.fault(Fault.PASS)
        self.sqs_fault(PASS)

    def client(self, service: str, config: Config | None = None) -> Any:
        """A boto3 client of the fleet's account."""
        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name=self.environment.get("AWS_REGION", "us-east-1"),
            aws_access_key_id=self.environment.get("AWS_ACCESS_KEY_ID", "test"),
            aws_secret_access_key=self.environment.get("AWS_SECRET_ACCESS_KEY", "test"),
            config=config,
        )

    def release(self) -> str:
        """The current one."""
        pointer = parameters.current_release(self.environment[ENVIRONMENT.name])
        return str(self.client("ssm").get_parameter(Name=pointer)["Parameter"]["Value"])

    def twin(self, queue: str) -> str:
        """The SQS queue of the current release that takes what Redis does not."""
        return names.fallback_queue(self.environment[ENVIRONMENT.name], queue, self.release())

    def letters(self) -> DeadLetters:
        """The dead-letter store."""
        return DeadLetters(self.client("dynamodb"), self.environment[ENVIRONMENT.name])

    def parked(self) -> int:
        """Dead letters of all queues: in the store, and on SQS until the controller moves them there."""
        sqs = self.client("sqs")
        prefix = names.dead_letter_queue(self.environment[ENVIRONMENT.name], "x").removesuffix("x")
        urls = sqs.list_queues(QueueNamePrefix=prefix).get("QueueUrls", ())
        total = sum(self.letters().counts(url.rpartition(prefix)[2] for url in urls).values())
        for url in urls:
            found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
            total += int(found["Attributes"]["ApproximateNumberOfMessages"])
        return total


def _is_of(service: str, pools: tuple[str, ...]) -> bool:
    fallback = names.service("x", "y", fallback=True).removeprefix(names.service("x", "y"))
    return not service.endswith(fallback) and any(service.startswith(f"{pool}-") for pool in pools)
