"""Delivering: from the fetch's answer to the consumer's callback, whatever the text is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from queue import Empty
from time import time
from typing import Any

from kombu.utils.imports import symbol_by_name

from taskfleet.brokers import eta
from taskfleet.brokers.redis import payloads
from taskfleet.brokers.redis.ownership import OwningChannel
from taskfleet.brokers.redis.session import Session
from taskfleet.contract import messages

logger = logging.getLogger(__name__)

# A message that is due within this is handed over, and Celery's own timer holds it: clocks differ a little.
# One with a farther ETA (a stock producer's: ours don't wait in a list) goes back to wait in Redis.
NEAR_SECONDS = 0.1


class DeliveringChannel(OwningChannel):
    """Hands over what was fetched; sets aside what is no message."""

    on_malformed: Callable[..., None] | str | None = None
    _fetched_ms = 0  # on Redis's clock: the last answer

    def _deliver_all(self, session: Session, reply: list[bytes]) -> None:
        # Whatever is not delivered because an earlier one failed goes back before the next fetch.
        self._in_doubt = True
        self._far: dict[str, float] = {}
        self._fetched_ms = int(reply[-1])
        for at in range(0, len(reply) - 1, 3):
            queue, tag, text = reply[at].decode(), reply[at + 1].decode(), reply[at + 2]
            self._queue_cycle.rotate(queue)
            self._deliver_one(session, queue, tag, text)
        if self._far:
            self.commands.postpone(session.id, self._far)
        self._in_doubt = False

    def _deliver_one(self, session: Session, queue: str, tag: str, text: bytes) -> None:
        session.held.add(tag)
        if queue not in self.connection._callbacks:
            self.requeue(tag, counts=False)
            return
        payload = self._read(session, queue, tag, text)
        if payload is None or self._is_far(session, tag, payload):
            return
        try:
            self.connection._deliver(payload, queue)
        except Exception as error:
            if tag not in self.qos._delivered and tag in session.held:
                self._set_aside(session, queue, tag, text, error)
                return
            # It was a message, and what came of it failed: if that ends the worker, it must count.
            if tag in session.held:
                self.requeue(tag)
            raise
        else:
            if tag not in self.qos._delivered and tag in session.held:
                session.acknowledge(tag)  # a consumer that does not acknowledge

    def _is_far(self, session: Session, tag: str, payload: dict[str, Any]) -> bool:
        """Whether the message goes back to wait in Redis until its ETA, not in this process."""
        ahead = eta.seconds_until(payload["headers"], now=time())
        if ahead <= NEAR_SECONDS:
            return False
        self._far[tag] = ahead
        session.held.discard(tag)
        return True

    def _read(self, session: Session, queue: str, tag: str, text: bytes) -> dict[str, Any] | None:
        try:
            return payloads.read(text, tag=tag, fetched_ms=self._fetched_ms)
        except Exception as error:  # noqa: BLE001 - one that gets through ends this worker, then the next one
            self._set_aside(session, queue, tag, text, error)
            return None

    def _set_aside(self, session: Session, queue: str, tag: str, text: bytes, error: Exception) -> None:
        """Keep what can't be delivered, with its reason, and go on."""
        reason = f"not a message: {type(error).__name__}: {error}"
        logger.error("Queue %s: %s", queue, reason)
        try:
            if self.on_malformed is None:
                self._keep_here(queue, text, reason)
            else:
                symbol_by_name(self.on_malformed)(queue=queue, payload=text, reason=reason)
        except Exception as failure:  # noqa: BLE001 - the owner's code, and no reason to end the worker
            logger.error("It could not be parked (%r), so it is kept in Redis", failure)
            self._keep_here(queue, text, reason)
        session.acknowledge(tag)

    def _keep_here(self, queue: str, text: bytes, reason: str) -> None:
        key = self.global_keyprefix + messages.REDIS_PARKED + queue
        self.commands.client.rpush(key, payloads.parked(text, reason=reason))

    def _get(self, queue: str) -> dict[str, Any]:
        session = self._open_session()
        self.tell()
        self._in_doubt = True  # until there is an answer
        reply = self.commands.fetch(
            session=session.id,
            number=session.next_number(),
            many=1,
            queues=[queue],
            priorities=self.priority_steps,
            rotate=False,
            acknowledge=session.take_done(),
        )
        self._in_doubt = False
        session.told()
        if len(reply) == 1:
            raise Empty
        tag, text, self._fetched_ms = reply[1].decode(), reply[2], int(reply[3])
        session.held.add(tag)
        payload = self._read(session, queue, tag, text)
        return self._get(queue) if payload is None else payload

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:
        message = super().basic_get(queue, no_ack=no_ack, **kwargs)
        if message is not None and no_ack and self.session is not None:
            self.session.acknowledge(message.delivery_tag)
            self.tell()
        return message
