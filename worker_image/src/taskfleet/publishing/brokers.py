"""The two places a message can go to, each with a small pool of producers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from kombu.connection import Connection
from kombu.exceptions import LimitExceeded, OperationalError
from kombu.transport.SQS.exceptions import DoesNotExistQueueException
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from taskfleet import aws, deadline
from taskfleet.brokers import connections
from taskfleet.contract.limits import CONFIRMING_REPLICAS
from taskfleet.contract.messages import REDIS_CONFIRM_PROBE
from taskfleet.per_process import PerProcess
from taskfleet.publishing.sized import SizedProducer
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

# Connections of one process to Redis. More threads than this wait for each other, briefly.
PRIMARY_CONNECTIONS = 10
# What Redis and all waiting for a connection to either broker may take of a publish: connecting and logging
# in included, each step of which has a shorter limit of its own (`connections.PRODUCER_TIMEOUT_SECONDS`).
# SQS's own time comes after it: `aws.PROMPT`.
PRIMARY_SECONDS = 0.6


def may_have_taken(error: BaseException) -> bool:
    """Whether the broker may have the message all the same: it was given it, and its answer was not seen.

    When in doubt it may. Redis-py says "connecting to" in the text alone: then nothing was given yet.
    """
    if isinstance(error, ClientError):
        return bool(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500) >= 500)
    if isinstance(error, BotoCoreError):
        return isinstance(error, HTTPClientError)
    if isinstance(error, RedisConnectionError | RedisTimeoutError | OSError):
        return "connecting to" not in str(error)
    return False


class _Pooled:
    def __init__(self, connection: Connection, size: int) -> None:
        # kombu's pool hands out a producer that a failed call has used before: redis-py reconnects
        # by itself, and boto3 has nothing to reconnect.
        self._connections = connection.Pool(size)

    @contextlib.contextmanager
    def acquire(self) -> Iterator[Connection]:
        """A connection, waited for within the `deadline`. Raises kombu's ``LimitExceeded``."""
        connection = self._connections.acquire(block=True, timeout=deadline.left())
        try:
            yield connection
        finally:
            connection.release()

    def publish(
        self, body: Any, queue: str, options: dict[str, Any], *, wanted: Callable[[], bool] = lambda: True
    ) -> bool:
        """Publish; False if it was not ``wanted`` any more when a connection was free."""
        with self.acquire() as connection:
            if not wanted():
                return False
            producer: Any = SizedProducer(  # type: ignore[no-untyped-call]
                connection.default_channel, auto_declare=False
            )
            producer.publish(body, exchange="", routing_key=queue, retry=False, declare=[], **options)
        return True


class Primary:
    """Redis."""

    replicas = 0

    def __init__(self, settings: ProducerSettings) -> None:
        connection = connections.primary_producer_connection(settings, confirm_replicas=self.replicas)
        self._pool = _Pooled(connection, PRIMARY_CONNECTIONS)

    def send(self, body: Any, queue: str, options: dict[str, Any], wanted: Callable[[], bool]) -> bool:
        """Publish ``body`` within the `deadline`; ``options`` are those of kombu's ``Producer.publish``.

        False if it was not ``wanted`` any more when a connection was free. Raises one of `NOT_ACCEPTED`.
        """
        return self._pool.publish(body, queue, options, wanted=wanted)

    def answers(self) -> bool:
        """Whether it answers a PING within `PRIMARY_SECONDS`."""
        try:
            with deadline.within(PRIMARY_SECONDS), self._pool.acquire() as connection:
                return self._answered(connection.default_channel.client)
        except NOT_ACCEPTED:
            return False

    def _answered(self, client: Any) -> bool:
        return bool(client.ping())


class ConfirmedPrimary(Primary):
    """Redis, and a replica of it: a publish returns when one has it, so that a failover can't lose it.

    One of several replicas is enough: ElastiCache promotes the one that is the least behind. It costs a
    round trip between zones; without a replica such publishes go to SQS, which is stored in several zones.
    """

    replicas = CONFIRMING_REPLICAS

    def _answered(self, client: Any) -> bool:
        """Whether a write reaches a replica again."""
        pipe = client.pipeline(transaction=False)
        pipe.set(REDIS_CONFIRM_PROBE, "1", ex=60)
        pipe.execute_command("WAIT", self.replicas, connections.CONFIRM_TIMEOUT_MS)
        return int(pipe.execute()[-1]) >= self.replicas


class Fallback:
    """SQS."""

    def __init__(self, settings: ProducerSettings) -> None:
        # Most processes never need it, and its client takes a tenth of a second to make.
        self._pool = PerProcess(
            lambda: _Pooled(connections.fallback_producer_connection(settings), aws.PROMPT_CONNECTIONS)
        )

    def send(self, body: Any, queue: str, options: dict[str, Any]) -> None:
        """Publish within `aws.PROMPT`'s time after the `deadline`. Raises one of `NOT_ACCEPTED`.

        SQS has no third broker behind it, so a failure before the deadline is tried once more: most often it
        closed an idle connection, or was busy for a moment.
        """
        try:
            self._pool.get().publish(body, queue, options)
        except NOT_ACCEPTED as first:
            if deadline.over():
                raise
            try:
                self._pool.get().publish(body, queue, options)
            except NOT_ACCEPTED as second:
                # It may have taken the first, whatever it says to the second.
                raise (first if may_have_taken(first) else second) from None
