"""Everything that the controller reaches over the network, each call bounded in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import redis
from botocore.config import Config
from redis.backoff import NoBackoff
from redis.retry import Retry

from taskfleet import aws
from taskfleet.brokers import connections
from taskfleet.dead_letters.store import DeadLetters
from taskfleet.etas.store import Etas
from taskfleet.measuring.failed import Failures
from taskfleet.measuring.fallback import Fallback
from taskfleet.releases.actions import SendCheck, SendGate
from taskfleet.releases.gate import Gates
from taskfleet.releases.leases import Leases
from taskfleet.releases.store import Store
from taskfleet.settings import ControllerSettings

# A look has ten seconds: an API that needs more than these is counted as not answering.
IN_A_LOOK = Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 2, "mode": "standard"})
BROKER_SECONDS = 3.0


class GateSender(Protocol):
    """Sends gate tasks."""

    def send(self, gate: SendGate | SendCheck) -> None:
        """Send one; raises the broker's errors."""


@dataclass(frozen=True)
class Clients:
    """The controller's clients."""

    environment: str
    primary: redis.Redis
    fallback: Fallback
    ssm: Any
    ecs: Any
    failures: Failures
    logs: Any
    cloudwatch: Any
    cloudformation: Any
    store: Store
    leases: Leases
    etas: Etas
    letters: DeadLetters
    gates: GateSender


def connect(settings: ControllerSettings) -> Clients:
    """Make them all. Nothing is reached before it is used."""
    ecs = aws.client("ecs", IN_A_LOOK)
    return Clients(
        environment=settings.environment,
        primary=_primary(settings),
        fallback=Fallback(aws.client("sqs", IN_A_LOOK)),
        ssm=aws.client("ssm", IN_A_LOOK),
        ecs=ecs,
        failures=Failures(ecs),
        logs=aws.client("logs", IN_A_LOOK),
        cloudwatch=aws.client("cloudwatch", IN_A_LOOK),
        cloudformation=aws.client("cloudformation", IN_A_LOOK),
        store=Store(aws.client("dynamodb", IN_A_LOOK), settings.environment),
        leases=Leases(lambda: aws.client("dynamodb", IN_A_LOOK), settings.environment),
        etas=Etas(lambda: aws.client("dynamodb", IN_A_LOOK), settings.environment),
        letters=DeadLetters(aws.client("dynamodb", IN_A_LOOK), settings.environment),
        gates=Gates(settings),
    )


def _primary(settings: ControllerSettings) -> redis.Redis:
    return connections.primary_client(
        settings,
        timeout_seconds=BROKER_SECONDS,
        # Once more at once: the first error of an idle connection only says that it was closed. A time-out is
        # no such error, and waiting for a second one would make the look late that wakes workers on SQS.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )
