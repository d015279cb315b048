"""Acknowledgements of what the fetch script has already written down."""

from __future__ import annotations

import logging
from time import time
from typing import TYPE_CHECKING, Any

from kombu.transport import virtual
from kombu.transport.redis import QoS as StockQoS
from redis.exceptions import ResponseError

from taskfleet.brokers import eta

if TYPE_CHECKING:
    from taskfleet.brokers.redis.session import Session

logger = logging.getLogger(__name__)


class QoS(StockQoS):
    """kombu's QoS; only what did not come through a fetch (fanout) is written to Redis from here."""

    @property
    def _session(self) -> Session | None:
        session: Session | None = self.channel.session
        return session

    def _is_ours(self, delivery_tag: str) -> bool:
        return self._session is not None and delivery_tag in self._session.held

    def append(self, message: Any, delivery_tag: str) -> None:
        if self._is_ours(delivery_tag):
            virtual.QoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        session = self._session
        if session is not None and delivery_tag in session.held:
            session.acknowledge(delivery_tag)
            virtual.QoS.ack(self, delivery_tag)
        else:
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        session = self._session
        if session is None or delivery_tag not in session.held:
            super().reject(delivery_tag, requeue=requeue)
        elif requeue:
            # One that waits for its ETA was not begun: that it is given back (at a shutdown) says nothing
            # against it.
            message = self._delivered.get(delivery_tag)
            waits = message is not None and eta.seconds_until(message.headers, now=time()) > 0
            virtual.QoS.ack(self, delivery_tag)
            self.channel.requeue(delivery_tag, counts=not waits)
        else:
            self.ack(delivery_tag)

    def restore_visible(self, start: int = 0, num: int = 10, interval: int = 10) -> None:
        """kombu's sweep, for what stock workers left. Not allowed on a full server, and no harm done."""
        try:
            super().restore_visible(start, num, interval)
        except ResponseError as error:
            logger.warning("Redis did not allow the sweep for stock workers' messages: %s", error)

    def restore_unacked(self, client: Any = None) -> None:
        for tag in [tag for tag in self._delivered if self._is_ours(tag)]:
            self.channel.requeue(tag, counts=False)
            self._delivered.pop(tag)
        super().restore_unacked(client)
