"""A message that was delivered again and again without an end runs with nothing beside it.

If it is what ends its workers, it then takes nobody along, and its delivery count is its own; if it was
beside one that does, it comes to its end. Until it may begin, its delivery does not count against it, on
Redis. SQS counts for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.worker import state
from kombu.message import Message

from taskfleet.contract.messages import DELIVERIES_HEADER
from taskfleet.logs import logger

# From then on. Less than `limits.MOST_DELIVERIES` by as many as should say more than chance.
SUSPECT_DELIVERIES = 3


class Alone:
    """What a consumer holds back, or runs alone. While there is one, it fetches nothing."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._suspect: Message | None = None
        self._begin: Callable[[], object] | None = None

    def takes(self, message: Message, begin: Callable[[], object]) -> bool:
        """Whether ``begin`` is called later, or the message is with the broker again; from the main loop."""
        if self._suspect is not None:
            # Fetched along, or before the broker heard that there is no room.
            message.channel.put_back(message.delivery_tag)
            return True
        if not is_suspect(message):
            return False
        logger.warning(
            "a message was delivered %s times before, so it will run alone",
            message.headers[DELIVERIES_HEADER],
        )
        self._suspect, self._begin = message, begin
        message.channel.hold_back(message.delivery_tag)
        self._fetch_nothing()
        return True

    def step(self) -> None:
        """Begin it when nothing else runs; fetch again when it has ended. About once a second."""
        if self._suspect is None:
            return
        if state.reserved_requests:
            self._fetch_nothing()
        elif self._begin is None:
            self._suspect = None
            self._consumer.qos.callback(prefetch_count=self._consumer.qos.value)
        elif self._suspect.channel.begin(self._suspect.delivery_tag):
            begin, self._begin = self._begin, None
            begin()

    def forget(self) -> None:
        """The connection is gone, and its messages with it."""
        self._suspect = self._begin = None

    def _fetch_nothing(self) -> None:
        # Below Celery's own count of the prefetch, which it would set again.
        self._consumer.qos.callback(prefetch_count=1)


def is_suspect(message: Message) -> bool:
    """Whether it was delivered so often before that it may be what ends its workers."""
    deliveries = message.headers.get(DELIVERIES_HEADER)
    return isinstance(deliveries, int) and deliveries >= SUSPECT_DELIVERIES
