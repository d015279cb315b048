"""The SQS channel: a message's life, from publishing to its delete."""

from __future__ import annotations

import time
from typing import Any

from botocore.exceptions import BotoCoreError
from kombu.transport import virtual
from kombu.transport.SQS import QoS as StockQoS

from taskfleet.brokers import eta
from taskfleet.brokers.sqs.polling import (
    FIRST_RECEIVED_MS,
    RECEIVED,
    REQUEUE_AFTER_SECONDS,
    SENT_MS,
    PollingChannel,
)
from taskfleet.contract import messages


class QoS(StockQoS):
    """What this channel holds. Kept hidden by its `Leases` from delivery to acknowledgement."""

    def append(self, message: Any, delivery_tag: str) -> None:
        super().append(message, delivery_tag)
        info = message.delivery_info
        self.channel.leases.hold(delivery_tag, info["sqs_queue"], info["sqs_message"]["MessageId"])

    def restore_unacked(self) -> list[Any]:
        """Give all back at once: one batch call for ten, not one call each with kombu's long timeouts."""
        self._flush()
        self.channel.leases.release(list(self._delivered))
        self._delivered.clear()
        return []


class Channel(PollingChannel):
    """The channel of `taskfleet.brokers.sqs.Transport`."""

    QoS = QoS
    # What SQS says of how often a message was delivered.
    counts_receipts = True
    # One base64 less on the way: JSON in JSON grows by its quotes only.
    body_encoding = "utf-8"

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        delay = eta.publish_delay_seconds(message, now=time.time())
        if delay:
            message["properties"].setdefault("DelaySeconds", delay)
        super()._put(queue, message, **kwargs)

    def _message_to_python(self, message: dict[str, Any], queue_name: str, q_url: str) -> dict[str, Any]:
        """The payload; for what is no kombu message one that Celery calls unknown; it is parked then."""
        try:
            payload: dict[str, Any] = super()._message_to_python(message, queue_name, q_url)
            self.Message(payload, channel=self)
        except Exception:  # noqa: BLE001 - one that gets through ends this worker, then the next one
            return self._envelope_payload({}, message["Body"], message, q_url)
        return payload

    def _envelope_payload(
        self, payload: dict[str, Any], raw_text: str, message: dict[str, Any], q_url: str
    ) -> dict[str, Any]:
        payload = super()._envelope_payload(payload, raw_text, message, q_url)
        said = message.get("Attributes", {})
        deliveries = max(0, int(said.get(RECEIVED, 1)) - 1)
        headers = payload["headers"] = payload.get("headers") or {}
        headers[messages.DELIVERIES_HEADER] = deliveries
        information = payload["properties"]["delivery_info"]
        information["redelivered"] = deliveries > 0
        information.pop(messages.DELIVERY_PUBLISHED, None)
        if not deliveries and {SENT_MS, FIRST_RECEIVED_MS} <= said.keys():
            # It was received just now, by SQS's clock when that says: later receipts have no such time.
            waited_ms = int(said[FIRST_RECEIVED_MS]) - int(said[SENT_MS])
            information[messages.DELIVERY_PUBLISHED] = time.monotonic() - waited_ms / 1000
        return payload

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        self.leases.delete(delivery_tag)
        virtual.Channel.basic_ack(self, delivery_tag, multiple)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        # Without requeue, a queue with a redrive policy keeps it until SQS moves it to the dead letters.
        if requeue or self._goes_to_dead_letters(delivery_tag):
            self.leases.release([delivery_tag], after_seconds=REQUEUE_AFTER_SECONDS)
        else:
            self.leases.delete(delivery_tag)
        virtual.Channel.basic_ack(self, delivery_tag)

    def put_back(self, tag: str) -> None:
        """Give a message back at once. SQS has counted its delivery."""
        self.leases.release([tag])
        virtual.Channel.basic_ack(self, tag)

    def hold_back(self, tag: str) -> None:
        """Nothing: SQS has counted its delivery, and the worker counts its begin."""

    def _goes_to_dead_letters(self, delivery_tag: str) -> bool:
        try:
            info = self.qos.get(delivery_tag).delivery_info
        except KeyError:
            return False
        try:
            return bool(self._has_redrive_policy(None, info["sqs_queue"]))
        except (BotoCoreError, OSError):
            return True

    def close(self) -> None:
        if not self.closed:
            if "leases" in self.__dict__:  # a producer's channel has none
                self.leases.close()
            super().close()
