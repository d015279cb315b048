"""A message that was delivered again and again without an end runs with nothing beside it.

If it is what ends its workers, it then takes nobody along, and its delivery count is its own; if it was
beside one that does, it comes to its end. Until it may begin, its delivery does not count against it. Redis
counts that for itself; of SQS's messages `Begun` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.worker import state
from kombu.message import Message

from taskfleet.contract.limits import MOST_DELIVERIES
from taskfleet.contract.messages import DELIVERIES_HEADER
from taskfleet.dead_letters.dead_letter import DeadLetterKind, Finding
from taskfleet.logs import logger
from taskfleet.worker.begun import Begun

# From then on. Less than `limits.MOST_DELIVERIES` by as many as should say more than chance.
SUSPECT_DELIVERIES = 3
# So often a suspect from SQS may begin: as often as one on Redis.
MOST_BEGUN = MOST_DELIVERIES - SUSPECT_DELIVERIES


class Alone:
    """What a consumer holds back, or runs alone. While there is one, it fetches nothing."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._begun = Begun(consumer.app)
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
        elif self._may_begin(self._suspect):
            begin, self._begin = self._begin, None
            begin()

    def _may_begin(self, suspect: Message) -> bool:
        """Whether this begin is counted, and not one too many."""
        if not counts_receipts(suspect):
            return bool(suspect.channel.begin(suspect.delivery_tag))
        before = self._begun.count(suspect)
        if before < MOST_BEGUN:
            return True
        self._begin = None
        why = (
            f"received {suspect.headers[DELIVERIES_HEADER] + 1} times, and begun {before} times with nothing "
            "beside it: it never came to its end"
        )
        self._consumer.park(suspect, Finding(DeadLetterKind.TOO_MANY_DELIVERIES, why))
        return False

    def given_back(self) -> None:
        """The worker was asked to end, and gives back what still runs: that says nothing of a suspect."""
        suspect = self._suspect
        if suspect and self._begin is None and counts_receipts(suspect) and not suspect.acknowledged:
            self._begun.withdraw(suspect)

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


def counts_receipts(message: Message) -> bool:
    """Whether its count is of each time that it was received, as SQS's, not only of those without an end."""
    return bool(getattr(message.channel, "counts_receipts", False))
