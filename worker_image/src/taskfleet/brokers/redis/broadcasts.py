"""Broadcasts (remote control, Celery's events): nobody waits for them, neither to send nor to receive one."""

from __future__ import annotations

import logging
from queue import Empty
from typing import Any

from kombu.transport import redis as stock

logger = logging.getLogger(__name__)

# What the rest of a broadcast may take once its beginning is there, unless `socket_timeout` says otherwise.
REST_SECONDS = 3.0


class BroadcastingChannel(stock.Channel):
    """kombu's fanout with an end to each wait."""

    def _put_fanout(self, exchange: str, message: dict[str, Any], routing_key: str, **kwargs: Any) -> None:
        """Who listens now gets it; who is away does not.

        Celery publishes its heartbeat with endless retries: while Redis hung, SIGTERM was not heard.
        """
        try:
            super()._put_fanout(exchange, message, routing_key, **kwargs)
        except self.connection_errors as error:
            logger.warning("An event could not be broadcast and is dropped: %s", error)

    def _receive_one(self, c: Any) -> Any:
        """One broadcast, if there is one. Raises ``Empty`` at once if there is none.

        kombu reads without a limit of time as soon as the socket is readable. With TLS that need not be a
        message: the worker's main loop stood still until somebody broadcast something, which may be never.
        """
        connection = c.connection
        try:
            if connection is None or not connection.can_read(timeout=0):
                raise Empty
        except self.connection_errors:
            self._in_listen = None
            raise
        return super()._receive_one(_Bounded(c, self.socket_timeout or REST_SECONDS))


class _Bounded:
    """A redis-py PubSub that reads the rest of a message within ``seconds``."""

    def __init__(self, pubsub: Any, seconds: float) -> None:
        self._pubsub, self._seconds = pubsub, seconds

    def parse_response(self) -> Any:
        """Raises redis-py's ``TimeoutError`` if the rest does not come."""
        return self._pubsub.parse_response(block=False, timeout=self._seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pubsub, name)
