"""Remote control from where the team calls it: a producer, a shell, ``celery -A shop.app …``, a task.

It goes to the fleet's Redis, whatever the application has as ``broker_url``, and reaches the workers of every
live release that fetch from there. It is bounded in time, and an error if Redis does not answer. A revoke is
kept besides (`taskfleet.revokes`). ``docs/celery-commands.md`` says for each of Celery's commands what
happens.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from celery import Celery
from celery.app.control import Control
from kombu.connection import Connection
from kombu.exceptions import OperationalError
from kombu.messaging import Producer
from kombu.pidbox import Mailbox
from kombu.transport.redis import Transport as StockTransport
from kombu.utils.functional import maybe_list
from redis.exceptions import RedisError

from taskfleet import aws, in_memory
from taskfleet.brokers import connections
from taskfleet.brokers.redis.broadcasts import BroadcastingChannel
from taskfleet.contract import names
from taskfleet.errors import ControlError, TaskfleetError
from taskfleet.etas.store import Etas
from taskfleet.logs import logger
from taskfleet.publishing.address import versioned
from taskfleet.revokes import Revokes
from taskfleet.settings import WorkerSettings

TIMEOUT_SECONDS = 1.5
_KEPT = ("revoke", "revoke_by_stamped_headers")
_ERRORS = (OperationalError, RedisError, OSError)

# What a worker would do and the fleet would undo, or never know of.
INSTEAD = {
    "add_consumer": "a queue belongs to a pool: Pool(queues=…) in infra/environments.py, and a deploy",
    "cancel_consumer": "a queue belongs to a pool: Pool(queues=…) in infra/environments.py, and a deploy",
    "pool_grow": "more workers: fleet scale POOL N; more slots: Pool(concurrency=…), and a deploy",
    "pool_shrink": "fewer workers: fleet scale POOL N; fewer slots: Pool(concurrency=…), and a deploy",
    "autoscale": "Pool(min_workers=…, max_workers=…) in infra/environments.py; scaling is by queue depth",
    "pool_restart": "a deploy; new code is a new release",
}


class FleetMailbox(Mailbox):
    """Publishes once. kombu's tries again without end, in a caller and in a worker's main loop."""

    @contextlib.contextmanager
    def producer_or_acquire(self, producer: Any = None, channel: Any = None) -> Iterator[Any]:
        """As kombu's, of the channel given."""
        yield producer or _Once(channel or self.connection.default_channel, auto_declare=False)  # type: ignore[no-untyped-call, union-attr]


class _Once(Producer):
    def publish(self, body: Any, *args: Any, **options: Any) -> Any:
        return super().publish(body, *args, **{**options, "retry": False})  # type: ignore[no-untyped-call]


class FleetControl(Control):  # type: ignore[misc]
    """What ``app.control`` is after `taskfleet.install`."""

    Mailbox = FleetMailbox

    def broadcast(
        self,
        command: str,
        arguments: dict[str, Any] | None = None,
        destination: Any = None,
        connection: Any = None,
        **options: Any,
    ) -> Any:
        """As Celery's. Raises `taskfleet.errors.ControlError` for what has no effect here, or no answer."""
        if in_memory.used(self.app):
            return super().broadcast(command, arguments, destination, connection, **options)
        if command in INSTEAD:
            raise ControlError(f"{command} has no place in the fleet. Instead: {INSTEAD[command]}")
        kept = command in _KEPT and self._keep(command, arguments or {})
        try:
            return self._broadcast(command, arguments, destination, connection, options)
        except _ERRORS as error:
            if kept:
                logger.warning("Redis can't tell workers of the %s; they read it within seconds", command)
                return None
            raise ControlError(
                f"{command} goes to workers over Redis, which does not answer: {error}. What runs, and "
                "where, says `fleet status`; SQS has no remote control"
            ) from error

    def _broadcast(
        self, command: str, arguments: Any, destination: Any, connection: Any, options: dict[str, Any]
    ) -> Any:
        with self._connection(connection) as conn:
            conn.default_channel.client.ping()  # a broadcast itself is dropped without a word
            return super().broadcast(command, arguments, destination=destination, connection=conn, **options)

    def _connection(self, given: Any) -> contextlib.AbstractContextManager[Connection]:
        """One of its own: a worker on SQS has none to Redis."""
        return contextlib.nullcontext(given) if given else _operators(self.app)

    def _keep(self, command: str, arguments: dict[str, Any]) -> bool:
        environment = self.app.taskfleet.settings.environment
        try:
            Revokes(aws.client("dynamodb", aws.PROMPT), environment).add(command, arguments)
        except (BotoCoreError, ClientError) as error:
            logger.warning("the %s reaches only workers that listen on Redis now: %s", command, error)
            return False
        self._keep_for_etas(command, arguments)
        return True

    def _keep_for_etas(self, command: str, arguments: dict[str, Any]) -> None:
        """The task may wait for an ETA that is farther ahead than revokes are kept."""
        etas = Etas(partial(aws.client, "dynamodb", aws.PROMPT), self.app.taskfleet.settings.environment)
        try:
            if command == "revoke":
                etas.revoke(map(str, maybe_list(arguments.get("task_id")) or ()))
            else:
                etas.revoke_stamped(arguments)
        except (BotoCoreError, ClientError) as error:
            logger.warning("the %s holds for a week only, also for later ETAs: %s", command, error)

    def purge(self, connection: Any = None) -> int:
        """Delete what waits in all queues of the current release, on Redis and on SQS; how many that were."""
        fleet = self.app.taskfleet
        queues = fleet.releases.queues(fleet.settings.bound_release or fleet.releases.current())
        try:
            with self._connection(connection) as conn:
                return sum(conn.default_channel.queue_purge(queue) for queue in queues)
        except _ERRORS as error:
            raise ControlError(f"not all was purged, since Redis does not answer: {error}") from error

    discard_all = purge


class _OperatorChannel(BroadcastingChannel):
    """kombu's own, but for broadcasts: who asks workers something takes no tasks, and is no session."""

    purges: Callable[[str], tuple[str, int]]

    from_transport_options = (*BroadcastingChannel.from_transport_options, "purges")

    def _purge(self, queue: str) -> int:
        name, on_sqs = self.purges(queue)
        return int(super()._purge(name)) + on_sqs


class OperatorTransport(StockTransport):  # type: ignore[misc]
    """Knows which queues are meant by the names that the application has for them."""

    Channel = _OperatorChannel


def install(app: Celery) -> None:
    """Have ``app`` reach the fleet's Redis from every process that is no worker."""
    app.control_cls = "taskfleet.control:FleetControl"
    app.__dict__.pop("control", None)
    for name in ("connection_for_read", "connection_for_write", "connection", "broker_connection"):
        setattr(app, name, _connecting(app, getattr(app, name)))


def _connecting(app: Celery, stock: Callable[..., Connection]) -> Callable[..., Connection]:
    def connection(*url: Any, **options: Any) -> Connection:
        # The parameter is `url` in some of these methods, and `hostname` in others.
        stocks = any((*url, options.get("url"), options.get("hostname"))) or in_memory.used(app)
        if stocks or isinstance(app.taskfleet.settings, WorkerSettings):
            return stock(*url, **options)
        return _operators(app)

    return connection


def _operators(app: Celery) -> Connection:
    return Connection(
        connections.primary_url(app.taskfleet.settings),
        transport="taskfleet.control:OperatorTransport",
        ssl=connections.TLS,
        connect_timeout=TIMEOUT_SECONDS,
        transport_options={
            "socket_timeout": TIMEOUT_SECONDS,
            "socket_connect_timeout": TIMEOUT_SECONDS,
            "retry_on_timeout": False,
            "max_retries": 0,
            "purges": lambda queue: _purged_on_sqs(app, queue),
        },
    )


def _purged_on_sqs(app: Celery, queue: str) -> tuple[str, int]:
    """The versioned queue on Redis, and how many messages its queue on SQS had, about."""
    settings = app.taskfleet.settings
    name = versioned(queue, bound_release=settings.bound_release, releases=app.taskfleet.releases).queue
    parts = names.split_versioned_queue(name)
    if parts is None:
        raise TaskfleetError(f"{name} is no versioned queue")
    sqs = aws.client("sqs")
    try:
        url = sqs.get_queue_url(QueueName=names.fallback_queue(settings.environment, *parts))["QueueUrl"]
        waiting = "ApproximateNumberOfMessages"
        counted = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[waiting])["Attributes"]
        sqs.purge_queue(QueueUrl=url)
    except (BotoCoreError, ClientError) as error:
        logger.warning("what waits in %s on SQS was not purged: %s", name, error)
        return name, 0
    return name, int(counted[waiting])
