"""A whole environment on the emulated account, without workers: enough for the controller to look at."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import boto3
import redis
from botocore.config import Config
from celery import Celery
from kombu import Connection
from taskfleet.contract import names, parameters
from taskfleet.contract import state as keys
from taskfleet.contract.container import NAME
from taskfleet.contract.environment import FALLBACK, PRIMARY
from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.controller.clients import Clients
from taskfleet.controller.controller import Controller
from taskfleet.dead_letters.store import DeadLetters
from taskfleet.etas.store import Etas
from taskfleet.measuring.failed import Failures
from taskfleet.measuring.fallback import Fallback
from taskfleet.releases import gate, items
from taskfleet.releases.actions import SendGate
from taskfleet.releases.lease import Lease
from taskfleet.releases.leases import Leases
from taskfleet.releases.store import Store
from taskfleet.testing import base

from tests.support.ministack import MiniStack
from tests.support.processes import free_port
from tests.support.valkey import Valkey
from tests.taskfleet.releases.factory import manifest

QUICK = Config(connect_timeout=0.3, read_timeout=0.3, retries={"total_max_attempts": 1})


def dead(service: str) -> object:
    """A client of an API that nobody serves."""
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{free_port()}",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=QUICK,
    )


class Clock:
    """Time that only the test moves."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@dataclass
class Gates:
    """Sends real gate tasks to the test's Valkey, without TLS; to SQS just a body."""

    url: str
    sqs: Any
    environment: str
    sent: list[SendGate] = field(default_factory=list)

    def send(self, wanted: SendGate) -> None:
        if wanted.broker == FALLBACK:
            twin = names.fallback_queue(self.environment, wanted.queue, wanted.release)
            url = self.sqs.get_queue_url(QueueName=twin)["QueueUrl"]
            self.sqs.send_message(QueueUrl=url, MessageBody=wanted.key)
            self.sent.append(wanted)
            return
        with Connection(self.url, transport_options={"socket_connect_timeout": 1}) as connection:
            gate.send(Celery("test", set_as_current=False), connection, wanted)
        self.sent.append(wanted)


class Account:
    """One environment; ``name`` is its own, so that tests don't meet in a shared account."""

    def __init__(self, aws: MiniStack, valkey: Valkey) -> None:
        self.aws, self.valkey, self.clock = aws, valkey, Clock()
        self.name = f"t{uuid.uuid4().hex[:8]}"
        self.sqs, self.ssm, self.ecs = aws.client("sqs"), aws.client("ssm"), aws.client("ecs")
        self.cloudwatch, self.dynamodb = aws.client("cloudwatch"), aws.client("dynamodb")
        self.store = Store(self.dynamodb, self.name)
        self.gates = Gates(valkey.url, self.sqs, self.name)
        self.redis = redis.Redis.from_url(valkey.url, socket_timeout=1, socket_connect_timeout=1)
        self.checks: tuple[str, ...] = ()  # the team's, as workers know them
        self._base()

    def _base(self) -> None:
        """What the fleet's stack makes."""
        for table in (names.state_table(self.name), names.tools_table(self.name)):
            self.dynamodb.create_table(
                TableName=table,
                KeySchema=[{"AttributeName": keys.KEY, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": keys.KEY, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        base.create_dead_letters(self.dynamodb, self.name)
        base.create_producers(self.dynamodb, self.name)
        base.create_etas(self.dynamodb, self.name)
        self.ecs.create_cluster(clusterName=names.cluster(self.name))
        for queue in ("high", "low", "etl"):
            self.sqs.create_queue(QueueName=names.dead_letter_queue(self.name, queue))

    def clients(self, **changes: Any) -> Clients:
        """The controller's clients of this environment."""
        clients: dict[str, Any] = {
            "environment": self.name,
            "primary": self.redis,
            "fallback": Fallback(self.sqs),
            "ssm": self.ssm,
            "ecs": self.ecs,
            "failures": Failures(changes.get("ecs", self.ecs)),
            "logs": self.aws.client("logs"),
            "cloudwatch": self.cloudwatch,
            "cloudformation": self.aws.client("cloudformation"),
            "store": self.store,
            "leases": Leases(lambda: self.dynamodb, self.name),
            "etas": Etas(lambda: self.dynamodb, self.name),
            "letters": DeadLetters(self.dynamodb, self.name),
            "gates": self.gates,
        }
        return Clients(**clients | changes)

    def controller(self, **changes: Any) -> Controller:
        """A controller that was started just now."""
        return Controller(self.clients(**changes), clock=self.clock)

    def lease(self, process: str, *releases: str, seconds: float = 300, pinned: bool = False) -> None:
        """What a producer's process writes."""
        host, pid, _ = process.split("/")
        now = self.clock()
        lease = Lease(
            process=process,
            host=host,
            pid=int(pid),
            application="web",
            releases=releases,
            pinned=pinned,
            since=now,
            until=now + seconds,
        )
        Leases(lambda: self.dynamodb, self.name).write(lease)

    def deploy(self, release: str, **changes: Any) -> ReleaseManifest:
        """What a release's stack makes."""
        made = manifest(release, **changes)
        for queue in made.queues:
            self.sqs.create_queue(QueueName=names.fallback_queue(self.name, queue, release))
        for pool in made.pools:
            family = names.task_family(self.name, names.service(pool.name, release))
            self.ecs.register_task_definition(
                family=family, containerDefinitions=[{"name": NAME, "image": "x", "memory": 64}]
            )
            for fallback in (False, True):
                self.ecs.create_service(
                    cluster=names.cluster(self.name),
                    serviceName=names.service(pool.name, release, fallback=fallback),
                    taskDefinition=family,
                    desiredCount=0 if fallback else 1,
                )
        if made.beat:
            self.ecs.create_service(
                cluster=names.cluster(self.name),
                serviceName=names.beat_service(release),
                taskDefinition=family,
                desiredCount=1,
            )
        self.write_manifest(made)
        return made

    def write_manifest(self, made: ReleaseManifest) -> None:
        self.ssm.put_parameter(
            Name=parameters.release_manifest(self.name, made.release),
            Value=made.to_json(),
            Type="String",
            Overwrite=True,
        )

    def delete(self, made: ReleaseManifest) -> None:
        """What deleting a release's stack does."""
        for queue in made.queues:
            url = self.sqs.get_queue_url(QueueName=names.fallback_queue(self.name, queue, made.release))
            self.sqs.delete_queue(QueueUrl=url["QueueUrl"])
        for pool in made.pools:
            for fallback in (False, True):
                service = names.service(pool.name, made.release, fallback=fallback)
                self.ecs.delete_service(cluster=names.cluster(self.name), service=service, force=True)
        self.ssm.delete_parameter(Name=parameters.release_manifest(self.name, made.release))

    def run_gates(self, made: ReleaseManifest) -> None:
        """What the workers of a release do with their gate tasks."""
        for queue in made.queues:
            self.run_gate_on_redis(queue, made.release)
            self.run_gate_on_sqs(queue, made.release)
        if made.beat:
            self.tick(made.release)

    def tick(self, release: str) -> None:
        """What a release's beat writes while it is not its turn."""
        proof = {keys.KEY: keys.gate_beat(release), "at": self.clock()}
        self.dynamodb.put_item(TableName=names.state_table(self.name), Item=items.wire(proof))

    def wanted(self, service: str) -> int:
        """How many tasks a service wants."""
        (found,) = self.ecs.describe_services(cluster=names.cluster(self.name), services=[service])[
            "services"
        ]
        return int(found["desiredCount"])

    def run_gate_on_redis(self, queue: str, release: str) -> None:
        """What a worker on Redis does."""
        with Connection(self.valkey.url) as connection:
            message = connection.SimpleQueue(names.versioned_queue(queue, release)).get(block=False)
            (argument,), _, _ = message.payload
            self._prove(argument, PRIMARY)
            message.ack()

    def run_gate_on_sqs(self, queue: str, release: str) -> None:
        """What a worker on SQS does, once it was woken."""
        url = self.sqs.get_queue_url(QueueName=names.fallback_queue(self.name, queue, release))["QueueUrl"]
        (message,) = self.sqs.receive_message(QueueUrl=url)["Messages"]
        self._prove(names.versioned_queue(queue, release), FALLBACK)
        self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def _prove(self, versioned_queue: str, broker: str) -> None:
        proof = {
            keys.KEY: keys.gate(versioned_queue, broker),
            "at": self.clock(),
            "release": versioned_queue.rpartition(".")[2],
            "checks": [{"task": task, "pool": "", "timeout": 60} for task in self.checks],
        }
        self.dynamodb.put_item(TableName=names.state_table(self.name), Item=items.wire(proof))

    def end_check(self, release: str, task: str, failure: str | None = None) -> None:
        """What the worker writes that has run one of the team's checks."""
        registered = self.store.scan().records[release].registered_at
        end = {
            keys.KEY: keys.gate_check(release, task),
            "registered": f"{registered:.3f}",
            "begun": self.clock(),
            "ended": self.clock(),
            "failure": failure,
        }
        self.dynamodb.put_item(TableName=names.state_table(self.name), Item=items.wire(end))

    def pass_time(self, controller: Controller, looks: int) -> None:
        """Let the controller look this often, ten seconds apart."""
        for _ in range(looks):
            self.clock.now += 10
            controller.look()

    def states(self) -> dict[str, str]:
        """Release → state, as kept."""
        return {name: str(record.state) for name, record in self.store.scan().records.items()}

    def tell(self, release: str) -> None:
        """Write what producers are told, as nobody should."""
        name = parameters.current_release(self.name)
        self.ssm.put_parameter(Name=name, Value=release, Type="String", Overwrite=True)

    def published(self) -> str:
        """What producers are told."""
        found = self.ssm.get_parameter(Name=parameters.current_release(self.name))
        return str(found["Parameter"]["Value"])
