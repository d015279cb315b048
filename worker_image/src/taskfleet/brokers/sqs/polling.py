"""Asking for messages, with an event loop and without, and going on when the answer is bad."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from queue import Empty
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from kombu.transport.SQS.exceptions import DoesNotExistQueueException

from taskfleet.brokers import eta
from taskfleet.brokers.sqs.naming import NamingChannel
from taskfleet.brokers.sqs.receiving import FAILURE

logger = logging.getLogger(__name__)

# Several queues without an event loop are asked in turn: no wait for one may keep another's messages long,
# and none at all while another has some (a worker would run one round of its slots a second).
SHARED_WAIT_SECONDS = 1
# Without an event loop nothing wakes the wait when a task ends and there is room again.
WAIT_FOR_ROOM_SECONDS = 0.02
# A message that was rejected, or that nobody could take, comes back after this: it may be so again.
REQUEUE_AFTER_SECONDS = 2
# With so many messages in its hands a worker holds none that is not due yet, not even for a second.
HELD_AT_MOST = 32
# How often a message was received; and, on SQS's own clock, when it was sent and received first.
RECEIVED, SENT_MS, FIRST_RECEIVED_MS = (
    "ApproximateReceiveCount",
    "SentTimestamp",
    "ApproximateFirstReceiveTimestamp",
)
_ASKED = [RECEIVED, SENT_MS, FIRST_RECEIVED_MS]
_ERRORS = (BotoCoreError, ClientError, OSError, DoesNotExistQueueException)


class PollingChannel(NamingChannel):
    """A failure of any kind is a pause for that queue, never the end of its polling."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._failures: Counter[str] = Counter()
        self.open_polls: set[str] = set()  # URLs of the queues that were asked and have not answered
        self.asked_at: float | None = None  # when it last asked for messages, by the monotonic clock
        self._had_messages: set[str] = set()  # queues that had some when they were asked last, in turn

    # -- with an event loop (prefork, threads) --------------------------------------------------------

    def _schedule_queue(self, queue: str) -> None:
        self.asked_at = time.monotonic()
        try:
            super()._schedule_queue(queue)
        except Exception as error:  # noqa: BLE001 - whatever it is: this queue is asked again
            self._after_failure(queue, repr(error))

    def _get_from_sqs(
        self, queue_name: str, queue_url: str, connection: Any, count: int = 1, callback: Any = None
    ) -> Any:
        self.open_polls.add(queue_url)
        return connection.receive_message(
            queue_name,
            queue_url,
            number_messages=count,
            wait_time_seconds=self.wait_time_seconds,
            visibility_timeout=self.lease_seconds,
            attributes=_ASKED,
            callback=callback,
        )

    def _on_messages_ready(self, queue: str, qname: str, messages: dict[str, Any]) -> int:
        """As kombu's: how many there were. It must not raise: nobody would ask for this queue again."""
        self.open_polls.discard(queue)
        failure = messages.get(FAILURE)
        if failure is None:
            self._failures.pop(qname, None)
            kept = self._to_deliver(queue, messages.get("Messages") or [])
            callback = self.connection._callbacks.get(qname)
            if callback is None:
                return int(super()._on_messages_ready(queue, qname, {"Messages": kept}))
            for message in kept:
                self.hand_over(self._message_to_python(message, qname, queue), callback)
            return len(kept)
        self._failures[qname] += 1
        self._warn(qname, failure)
        return 0

    def _loop1(self, queue: str, messages_fetched: int | None = None) -> None:
        if self._failures[queue]:
            self.hub.call_later(self._pause(queue), self._schedule_queue, queue)
        else:
            super()._loop1(queue, messages_fetched)

    def _after_failure(self, queue: str, reason: str) -> None:
        self._failures[queue] += 1
        self._warn(queue, reason)
        self.hub.call_later(self._pause(queue), self._schedule_queue, queue)

    def _pause(self, queue: str) -> float:
        return float(min(0.25 * 2 ** self._failures[queue], 8))

    def _warn(self, queue: str, reason: str) -> None:
        if self._failures[queue] in (1, 2, 4) or self._failures[queue] % 8 == 0:
            logger.warning(
                "SQS queue %s could not be asked (%d times in a row), trying on: %s",
                queue,
                self._failures[queue],
                reason,
            )

    def hand_over(self, payload: dict[str, Any], deliver: Callable[[dict[str, Any]], Any]) -> None:
        """Deliver one message. What fails in that is of this message alone, and counts as a delivery."""
        try:
            deliver(payload)
        except Exception:
            logger.exception("a message from SQS could not be handed over, so it is given back")
            # SQS has counted it when it was received.
            self.leases.release([payload["properties"]["delivery_tag"]], after_seconds=REQUEUE_AFTER_SECONDS)

    # -- without one (gevent) -------------------------------------------------------------------------

    def drain_events(self, timeout: float | None = None, callback: Any = None, **kwargs: Any) -> None:
        """As kombu's, but without room it comes back soon: kombu would spin for the whole ``timeout``."""
        if self._consumers and not self.qos.can_consume():
            time.sleep(WAIT_FOR_ROOM_SECONDS)
            raise TimeoutError("there is no room for messages")
        super().drain_events(timeout=timeout, callback=callback, **kwargs)

    def _receive_message(
        self, queue: str, max_number_of_messages: int = 1, wait_time_seconds: int | None = None
    ) -> dict[str, Any]:
        self.asked_at = time.monotonic()
        url = self._new_queue(queue)
        reply = self._waiting_client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=max_number_of_messages,
            WaitTimeSeconds=self._wait_seconds(queue),
            VisibilityTimeout=self.lease_seconds,
            MessageSystemAttributeNames=_ASKED,
        )
        received = reply.get("Messages") or []
        if received:
            self._had_messages.add(queue)
        else:
            self._had_messages.discard(queue)
        return {"Messages": self._to_deliver(url, received)}

    def _wait_seconds(self, queue: str) -> int:
        """How long SQS may wait for a message of this queue, before the next one is asked."""
        others = set(self._active_queues) - {queue}
        if not others:
            return int(self.wait_time_seconds)
        return 0 if others & self._had_messages else min(SHARED_WAIT_SECONDS, self.wait_time_seconds)

    def _get_bulk(self, queue: str, *args: Any, **kwargs: Any) -> None:
        try:
            super()._get_bulk(queue, *args, **kwargs)
        except _ERRORS as error:
            self._failures[queue] += 1
            self._warn(queue, str(error))
            self._had_messages.discard(queue)
            time.sleep(self._pause(queue))
            raise Empty from error
        self._failures.pop(queue, None)

    def _to_deliver(self, queue_url: str, received: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those that are to run now: not what ended here after its lease, or still runs."""
        known = self.leases.is_known
        new = [each for each in received if not known(each["MessageId"], each["ReceiptHandle"], queue_url)]
        return self._hide_far(queue_url, new)

    def _hide_far(self, queue_url: str, received: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those that are due; the others are hidden until their time, in one call, and not kept in memory."""
        may_hold, now = len(self.qos._delivered) < HELD_AT_MOST, time.time()
        times = [eta.hide_seconds(message["Body"], now=now, may_hold=may_hold) for message in received]
        far = [(message, seconds) for message, seconds in zip(received, times, strict=True) if seconds]
        hidden = self._hide(queue_url, far) if far else set()
        return [message for message in received if message["ReceiptHandle"] not in hidden]

    def _hide(self, queue_url: str, far: list[tuple[dict[str, Any], int]]) -> set[str]:
        """The receipt handles of those that SQS has hidden."""
        handles = [message["ReceiptHandle"] for message, _ in far]
        entries = [
            {"Id": str(n), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
            for n, (handle, (_, seconds)) in enumerate(zip(handles, far, strict=True))
        ]
        try:
            reply = self.sqs().change_message_visibility_batch(QueueUrl=queue_url, Entries=entries)
        except _ERRORS as error:
            logger.warning("SQS did not hide messages until their time, so they are kept here: %s", error)
            return set()
        return {handles[int(entry["Id"])] for entry in reply.get("Successful", ())}
