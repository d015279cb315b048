"""A Redis channel whose fetch is one step, and whose messages belong to a session."""

from __future__ import annotations

import logging
from collections.abc import Callable
from queue import Empty
from time import monotonic
from typing import Any

import redis
from kombu.transport import redis as stock
from kombu.utils.json import dumps
from kombu.utils.scheduling import priority_cycle, round_robin_cycle, sorted_cycle
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, NoScriptError, OutOfMemoryError, ReadOnlyError, ResponseError

from taskfleet.brokers.redis import payloads
from taskfleet.brokers.redis.commands import Commands, Keys, Lease, fetch
from taskfleet.brokers.redis.qos import QoS
from taskfleet.brokers.redis.running import running_tags
from taskfleet.brokers.redis.session import SESSIONS, Session
from taskfleet.contract import messages, names

logger = logging.getLogger(__name__)

FETCH, BELL = "EVALSHA", "BLPOP"
# One fetch brings no more than this, however much room there is.
MOST_AT_ONCE = 16
# What an answer may take beyond the wait that was asked for, unless `socket_timeout` says otherwise.
ANSWER_SECONDS = 5.0
# The longest that a beat or an orderly end waits for Redis.
SESSION_TIMEOUT_SECONDS = 2.0
# Answers of a server that is no primary any more: reconnect, and find the new one.
DEMOTED_ERRORS = (ReadOnlyError, MasterDownError)
_WAIT_ENDED_BY_DEMOTION = "UNBLOCKED"
_KNOWN_CYCLES = (round_robin_cycle, priority_cycle, sorted_cycle)


class LeaseLapsed(RedisConnectionError):
    """Redis gave this worker's messages to others: it was silent for too long. Reconnecting begins anew."""


class NotConfirmed(RedisConnectionError):
    """Fewer replicas than asked for have the message. It may be delivered, and it may be lost."""


class Channel(stock.Channel):
    """The channel of `taskfleet.brokers.redis.Transport`."""

    QoS = QoS

    session: Session | None = None
    answer_due_at: float | None = None
    lease_seconds = Lease.seconds
    confirm_replicas: int | dict[str, int] = 0
    confirm_timeout_ms = 500
    on_malformed: Callable[..., None] | None = None

    from_transport_options = (
        *stock.Channel.from_transport_options,
        "lease_seconds",
        "confirm_replicas",
        "confirm_timeout_ms",
        "on_malformed",
    )

    _asked = ""
    _in_doubt = False
    _send_whole = False
    _commands: Commands | None = None

    # -- its session ----------------------------------------------------------------------------------

    @property
    def commands(self) -> Commands:
        """The scripts, over the pool that kombu publishes with."""
        if self._commands is None or self._commands.client.connection_pool is not self.pool:
            self._commands = Commands(redis.Redis(connection_pool=self.pool), self._keys, self._lease)
        return self._commands

    @property
    def _keys(self) -> Keys:
        prefix = self.global_keyprefix
        return Keys(unacked=prefix + self.unacked_key, index=prefix + self.unacked_index_key, prefix=prefix)

    @property
    def _lease(self) -> Lease:
        return Lease(float(self.lease_seconds))

    def _own_commands(self) -> Callable[[], Commands]:
        """Makes clients that neither share this channel's connections nor end with them."""
        params, keys, lease = self._connparams(), self._keys, self._lease
        for name in ("socket_timeout", "socket_connect_timeout"):
            params[name] = min(params.get(name) or SESSION_TIMEOUT_SECONDS, SESSION_TIMEOUT_SECONDS)
        return lambda: Commands(redis.Redis(connection_pool=redis.ConnectionPool(**params)), keys, lease)

    @property
    def _broker(self) -> tuple[object, ...]:
        info = self.connection.client
        return (info.hostname, info.port, info.virtual_host, self._keys)

    def _open_session(self) -> Session:
        session = self.session
        if session is None:
            session = SESSIONS.take(self._broker, self._own_commands())
            session.open(self.commands)
            self.session = session
        elif session.lapsed:
            raise LeaseLapsed(
                "Redis heard nothing from this worker for too long and gave its messages to others"
            )
        elif self._in_doubt:
            # An answer was lost on the way, with messages in it perhaps: what we don't know goes back.
            session.open(self.commands)
        self._in_doubt = False
        return session

    def tell(self) -> None:
        """Acknowledge what no fetch took along."""
        if self.session is not None and not self.closed:
            self.session.tell(self.commands)

    def requeue(self, tag: str, *, counts: bool = True) -> None:
        """Give a message back to its queue: behind the others if that ``counts`` as a delivery."""
        if self.session is not None:
            commands = self._own_commands()() if self.connection is None else self.commands
            self.session.give_back(commands, tag, counts=counts)

    def _after_fork(self) -> None:
        # The session is the parent's; so is its thread.
        self.session, self._commands = None, None
        super()._after_fork()

    def close(self) -> None:
        if self.closed:
            return
        session, make = self.session, None
        broker: object = None
        if session is not None:
            make, broker = self._own_commands(), self._broker
            if self._qos is not None:
                self._qos._delivered.clear()  # the session knows better
        # An answer that is still to come holds nothing that would not go back: don't wait for it.
        self._in_poll, self.answer_due_at = None, None
        super().close()
        if session is not None and make is not None and not session.abandon(running_tags(), make):
            SESSIONS.leave(broker, session)

    # -- fetching -------------------------------------------------------------------------------------

    def _brpop_start(self, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        command = self._fetch_command(list(queues), self._room())
        self._send(FETCH, command, wait=0)

    def _fetch_command(self, queues: list[str], many: int) -> list[Any]:
        session = self._open_session()
        return fetch(
            self._keys,
            session=session.id,
            number=session.next_number(),
            many=many,
            queues=queues,
            priorities=self.priority_steps,
            rotate=type(self._queue_cycle) is round_robin_cycle,
            acknowledge=session.take_done(),
            whole=self._send_whole,
        )

    def _room(self) -> int:
        """How many messages may come at once."""
        if "can_consume" in self.qos.__dict__ or type(self._queue_cycle) not in _KNOWN_CYCLES:
            return 1  # somebody else counts (`worker_disable_prefetch`), or orders the queues
        room = self.qos.can_consume_max_estimate()
        return MOST_AT_ONCE if room is None else max(1, min(room, MOST_AT_ONCE))

    def _send(self, kind: str, command: list[Any], *, wait: float) -> None:
        connection = self.client.connection
        self._in_poll, self._asked = connection, kind
        self._brpop_sent_at = monotonic()
        self.answer_due_at = self._brpop_sent_at + wait + (self.socket_timeout or ANSWER_SECONDS)
        connection.send_command(*command)

    def _on_connection_disconnect(self, connection: Any) -> None:
        if self._in_poll is connection:
            self._in_doubt = self._in_doubt or self._asked == FETCH
            self.answer_due_at = None
        super()._on_connection_disconnect(connection)

    def _brpop_read(self, **options: Any) -> bool:
        connection = self.client.connection
        try:
            reply = self.client.parse_response(connection, self._asked, **options)
        except NoScriptError:
            self._send_whole, self._in_poll = True, None
            raise Empty from None
        except ResponseError as error:
            self._in_poll = None
            raise self._as_connection_error(error, connection) from error
        except self.connection_errors:
            connection.disconnect()
            raise
        self._in_poll, self.answer_due_at = None, None
        if self._asked == BELL:
            raise Empty
        session = self.session
        if session is None:
            raise Empty
        session.told()
        self._send_whole = False
        if not reply:
            self._wait_for_bell()
            raise Empty
        self._deliver_all(session, reply)
        self._flush_brpop_reauth()
        return True

    def _as_connection_error(self, error: ResponseError, connection: Any) -> Exception:
        text = str(error)
        if text.startswith("LAPSED"):
            return LeaseLapsed(text)
        if not isinstance(error, DEMOTED_ERRORS) and not text.startswith(_WAIT_ENDED_BY_DEMOTION):
            return error
        self._in_doubt = True
        connection.disconnect()
        return RedisConnectionError(text)

    def _wait_for_bell(self) -> None:
        self._flush_brpop_reauth()
        timeout = self.brpop_timeout or 1
        prefix = self.global_keyprefix + messages.REDIS_BELL
        self._send(BELL, [BELL, *(prefix + queue for queue in self.active_queues), timeout], wait=timeout)

    # -- delivering -----------------------------------------------------------------------------------

    def _deliver_all(self, session: Session, reply: list[bytes]) -> None:
        # Whatever is not delivered because an earlier one failed goes back before the next fetch.
        self._in_doubt = True
        for at in range(0, len(reply), 3):
            queue, tag, text = reply[at].decode(), reply[at + 1].decode(), reply[at + 2]
            self._queue_cycle.rotate(queue)
            self._deliver_one(session, queue, tag, text)
        self._in_doubt = False

    def _deliver_one(self, session: Session, queue: str, tag: str, text: bytes) -> None:
        session.held.add(tag)
        if queue not in self.connection._callbacks:
            self.requeue(tag, counts=False)
            return
        try:
            self.connection._deliver(payloads.read(text, tag=tag), queue)
        except payloads.NO_MESSAGE as error:
            if tag in self.qos._delivered or tag not in session.held:
                raise  # it was a message, and what came of it failed
            self._set_aside(session, queue, tag, text, f"not a message: {type(error).__name__}: {error}")
        else:
            if tag not in self.qos._delivered and tag in session.held:
                session.acknowledge(tag)  # a consumer that does not acknowledge

    def _set_aside(self, session: Session, queue: str, tag: str, text: bytes, reason: str) -> None:
        """Keep what can't be delivered, with its reason, and go on."""
        logger.error("Queue %s: %s", queue, reason)
        if self.on_malformed is not None:
            self.on_malformed(queue=queue, payload=text, reason=reason)
        else:
            key = self.global_keyprefix + messages.REDIS_PARKED + queue
            self.commands.client.rpush(key, payloads.parked(text, reason=reason))
        session.acknowledge(tag)

    def _get(self, queue: str) -> dict[str, Any]:
        session = self._open_session()
        reply = self.commands.fetch(
            session=session.id,
            number=session.next_number(),
            many=1,
            queues=[queue],
            priorities=self.priority_steps,
            rotate=False,
            acknowledge=session.take_done(),
        )
        session.told()
        if not reply:
            raise Empty
        tag, text = reply[1].decode(), reply[2]
        session.held.add(tag)
        try:
            return payloads.read(text, tag=tag)
        except payloads.NO_MESSAGE as error:
            self._set_aside(session, queue, tag, text, f"not a message: {type(error).__name__}: {error}")
            return self._get(queue)

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:
        message = super().basic_get(queue, no_ack=no_ack, **kwargs)
        if message is not None and no_ack and self.session is not None:
            self.session.acknowledge(message.delivery_tag)
            self.tell()
        return message

    # -- publishing -----------------------------------------------------------------------------------

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        batch = kwargs.get("_publish_batch")
        if batch is not None or queue in self._expires:
            super()._put(queue, message, **kwargs)
            self._ring(queue, batch)
            return
        priority = self.priority(self._get_message_priority(message, reverse=False))
        replicas = self._replicas(queue)
        copies = self.commands.publish(
            queue, priority, dumps(message), replicas=replicas, wait_ms=self.confirm_timeout_ms
        )
        if copies < replicas:
            raise NotConfirmed(
                f"{copies} of {replicas} replicas have the message after {self.confirm_timeout_ms} ms"
            )

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        try:
            super()._queue_bind(exchange, routing_key, pattern, queue)
        except OutOfMemoryError as error:
            # Only publishing by exchange needs it, and nobody can publish now.
            logger.warning("Redis is full, so queue %s could not be bound to %r: %s", queue, exchange, error)

    def _put_fanout(self, exchange: str, message: dict[str, Any], routing_key: str, **kwargs: Any) -> None:
        """Broadcasts (Celery's events) reach whoever listens now, so nobody waits for a broker that is away.

        Celery publishes its heartbeat with endless retries: while Redis hung, SIGTERM was not heard.
        """
        try:
            super()._put_fanout(exchange, message, routing_key, **kwargs)
        except self.connection_errors as error:
            logger.warning("An event could not be broadcast and is dropped: %s", error)

    def _ring(self, queue: str, batch: Any) -> None:
        if batch is not None:
            batch.add("lpush", messages.REDIS_BELL + queue, "1")
        else:
            self.commands.client.lpush(self.global_keyprefix + messages.REDIS_BELL + queue, "1")

    def _replicas(self, queue: str) -> int:
        wanted = self.confirm_replicas
        if isinstance(wanted, int):
            return wanted
        versioned = names.split_versioned_queue(queue)
        return wanted.get(queue, wanted.get(versioned[0], 0) if versioned else 0)

    def _delete(self, queue: str, *args: Any, **kwargs: Any) -> None:
        super()._delete(queue, *args, **kwargs)
        self.commands.client.delete(self.global_keyprefix + messages.REDIS_BELL + queue)
