"""Gate tasks: one small task on a queue of a new release; that it ran proves that the queue is consumed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from celery import Celery
from kombu.connection import Connection
from kombu.entity import Exchange, Queue

from taskfleet.brokers import connections
from taskfleet.contract.environment import FALLBACK
from taskfleet.contract.messages import GATE_CHECK_TASK, GATE_TASK, PUBLISHED_AT_HEADER, RELEASE_HEADER
from taskfleet.contract.names import versioned_queue
from taskfleet.releases.actions import SendCheck, SendGate
from taskfleet.settings import ProducerSettings

# From a check's time-out to the end of its process: it says why it failed in between.
LAST_WORDS_SECONDS = 10
EXPIRES_SECONDS = 900  # as long as the plan waits for a proof


def _plain_app() -> Celery:
    """Only makes messages: it has no tasks, no broker and no results of its own."""
    app = Celery("taskfleet.controller", set_as_current=False)
    app.conf.update(task_ignore_result=True, task_serializer="json", accept_content=["json"])
    return app


@dataclass
class Gates:
    """Sends gate tasks, straight to the broker that is to be proven: never by way of the other."""

    settings: ProducerSettings
    _app: Celery = field(default_factory=_plain_app)

    def send(self, gate: SendGate | SendCheck) -> None:
        """Send it. Raises kombu's ``OperationalError`` or botocore's errors if the broker won't take it."""
        with self._connection(gate) as connection:
            send(self._app, connection, gate)

    def _connection(self, gate: SendGate | SendCheck) -> Any:
        if gate.broker != FALLBACK:
            return connections.primary_producer_connection(self.settings)
        return connections.fallback_producer_connection(self.settings)


def _queue(name: str) -> Any:
    return Queue(name, Exchange(name), routing_key=name)


def send(app: Celery, connection: Connection, gate: SendGate | SendCheck) -> None:
    """Send a gate task over this connection, to the versioned queue that is also its argument; or a check."""
    name = versioned_queue(gate.queue, gate.release)
    if isinstance(gate, SendGate):
        task, args, limits = GATE_TASK, [name], {}
    else:
        soft = gate.timeout_seconds
        limits = {"soft_time_limit": soft, "time_limit": soft + LAST_WORDS_SECONDS}
        task, args = GATE_CHECK_TASK, [gate.task, gate.registered]
    app.send_task(
        task,
        args=args,
        **limits,
        queue=_queue(name),
        headers={RELEASE_HEADER: gate.release, PUBLISHED_AT_HEADER: time.time()},
        expires=EXPIRES_SECONDS,
        connection=connection,
        # Bounded by the socket's time-outs only so; `retry=False` takes 6 s (FACTS, 1: Publishing).
        retry=True,
        retry_policy={"max_retries": 0},
        ignore_result=True,
    )
