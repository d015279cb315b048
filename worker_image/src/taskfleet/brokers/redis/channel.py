"""The Redis channel: what it takes from its options, and how it publishes."""

from __future__ import annotations

import logging
from typing import Any

from kombu.transport import redis as stock
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError

from taskfleet.brokers.redis import deadline
from taskfleet.brokers.redis.broadcasts import BroadcastingChannel
from taskfleet.brokers.redis.fetching import FetchingChannel
from taskfleet.contract import messages, names

logger = logging.getLogger(__name__)


class NotConfirmed(RedisConnectionError):
    """Fewer replicas than asked for have the message. It may be delivered, and it may be lost."""


class Channel(FetchingChannel, BroadcastingChannel):
    """The channel of `taskfleet.brokers.redis.Transport`."""

    connection_class = deadline.Connection
    connection_class_ssl = deadline.SSLConnection
    confirm_replicas: int | dict[str, int] = 0
    confirm_timeout_ms = 500

    from_transport_options = (
        *stock.Channel.from_transport_options,
        "lease_seconds",
        "renewing_process",
        "confirm_replicas",
        "confirm_timeout_ms",
        "on_malformed",
    )

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        batch = kwargs.get("_publish_batch")
        if batch is not None or queue in self._expires:
            super()._put(queue, message, **kwargs)
            self._ring(queue, batch)
            return
        priority = self.priority(self._get_message_priority(message, reverse=False))
        replicas = self._replicas(queue)
        copies = self.commands.publish(
            queue, priority, message, replicas=replicas, wait_ms=self.confirm_timeout_ms
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

    def _size(self, queue: str) -> int:
        """Those that wait for their ETA included: a queue with any is not empty."""
        scheduled = self.commands.client.zcard(self.global_keyprefix + messages.REDIS_SCHEDULED + queue)
        return int(super()._size(queue)) + int(scheduled)

    def _purge(self, queue: str) -> int:
        return int(super()._purge(queue)) + self._forget_scheduled(queue)

    def _delete(self, queue: str, *args: Any, **kwargs: Any) -> None:
        super()._delete(queue, *args, **kwargs)
        self._forget_scheduled(queue)
        self.commands.client.delete(self.global_keyprefix + messages.REDIS_BELL + queue)

    def _forget_scheduled(self, queue: str) -> int:
        """Delete what waits for its ETA; how many there were."""
        kept = [messages.REDIS_SCHEDULED, messages.REDIS_SCHEDULED_MESSAGES, messages.REDIS_WAKING]
        due, *others = (self.global_keyprefix + each + queue for each in kept)
        with self.commands.client.pipeline(transaction=True) as pipe:
            pipe.zcard(due).unlink(due, *others)
            return int(pipe.execute()[0])
