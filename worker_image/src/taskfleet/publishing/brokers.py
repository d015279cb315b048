"""The two places a message can go to, each with a small pool of producers."""

from __future__ import annotations

from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from kombu.connection import Connection
from kombu.exceptions import LimitExceeded, OperationalError
from kombu.messaging import Producer
from kombu.transport.SQS.exceptions import DoesNotExistQueueException
from redis.exceptions import RedisError

from taskfleet.brokers import connections
from taskfleet.contract.environment import FALLBACK, PRIMARY
from taskfleet.per_process import PerProcess
from taskfleet.settings import ProducerSettings

# What a broker that did not accept a message raises. Anything else is the caller's mistake, an
# argument that is not JSON for instance, and no other broker would take it either.
NOT_ACCEPTED = (
    OSError,  # sockets, time-outs included
    OperationalError,
    LimitExceeded,
    RedisError,
    BotoCoreError,
    ClientError,
    DoesNotExistQueueException,
)

# Connections of one process to one broker. More threads than this wait for each other, briefly.
CONNECTIONS = 10
WAIT_FOR_CONNECTION_SECONDS = 1.0


class Broker(Protocol):
    """Something that accepts messages; `send` raises one of `NOT_ACCEPTED` if it did not."""

    name: str

    def send(self, body: Any, queue: str, options: dict[str, Any]) -> None:
        """Publish ``body`` to the versioned queue; ``options`` are those of kombu's ``Producer.publish``."""


class _Pooled:
    def __init__(self, connection: Connection) -> None:
        # kombu's pool hands out a producer that a failed call has used before: redis-py reconnects
        # by itself, and boto3 has nothing to reconnect.
        self._producers = connection.Pool(CONNECTIONS)

    def publish(self, body: Any, queue: str, options: dict[str, Any]) -> None:
        connection = self._producers.acquire(block=True, timeout=WAIT_FOR_CONNECTION_SECONDS)
        try:
            producer = Producer(connection.default_channel, auto_declare=False)
            producer.publish(body, exchange="", routing_key=queue, retry=False, declare=[], **options)
        finally:
            connection.release()


class Primary:
    """Redis."""

    name = PRIMARY

    def __init__(self, settings: ProducerSettings) -> None:
        self._pool = _Pooled(connections.primary_producer_connection(settings))

    def send(self, body: Any, queue: str, options: dict[str, Any]) -> None:
        """Publish within about 0.3 s."""
        self._pool.publish(body, queue, options)

    def answers(self) -> bool:
        """Whether it answers a PING within about 0.3 s."""
        connection = self._pool._producers.acquire(block=True, timeout=WAIT_FOR_CONNECTION_SECONDS)
        try:
            return bool(connection.default_channel.client.ping())
        except NOT_ACCEPTED:
            return False
        finally:
            connection.release()


class Fallback:
    """SQS."""

    name = FALLBACK

    def __init__(self, settings: ProducerSettings) -> None:
        # Most processes never need it, and its client takes a tenth of a second to make.
        self._pool = PerProcess(lambda: _Pooled(connections.fallback_producer_connection(settings)))

    def send(self, body: Any, queue: str, options: dict[str, Any]) -> None:
        """Publish within about a second."""
        self._pool.get().publish(body, queue, options)
