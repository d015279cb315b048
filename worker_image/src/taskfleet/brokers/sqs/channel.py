"""An SQS channel that survives bad replies, creates no queues, and keeps what it holds."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable
from queue import Empty
from typing import Any

from amqp.protocol import queue_declare_ok_t
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError
from kombu.asynchronous.http import get_client
from kombu.transport import virtual
from kombu.transport.SQS import Channel as StockChannel
from kombu.transport.SQS import QoS as StockQoS
from kombu.transport.SQS.exceptions import DoesNotExistQueueException
from kombu.utils.objects import cached_property

from taskfleet.brokers import eta
from taskfleet.brokers.sqs.leases import Leases
from taskfleet.brokers.sqs.receiving import CONCURRENT_REQUESTS, FAILURE, GRACE_SECONDS, Receiver
from taskfleet.contract import messages

logger = logging.getLogger(__name__)

LEASE_SECONDS = 60
# A message that a task rejected comes back after this, not at once: it may be rejected again.
REQUEUE_AFTER_SECONDS = 2
# Several queues without an event loop (gevent) are asked in turn, so none may wait long for a message.
SHARED_WAIT_SECONDS = 1
_ERRORS = (BotoCoreError, ClientError, OSError)
_CLIENT_CONFIG = {"connect_timeout": 2, "read_timeout": 5, "retries": {"total_max_attempts": 2}}


class QoS(StockQoS):
    """What this channel holds. Kept hidden by its `Leases` from delivery to acknowledgement."""

    def append(self, message: Any, delivery_tag: str) -> None:
        super().append(message, delivery_tag)
        self.channel.leases.hold(delivery_tag, message.delivery_info["sqs_queue"])

    def restore_unacked(self) -> list[Any]:
        """Give all back at once: one batch call for ten, not one call each with kombu's long timeouts."""
        self._flush()
        self.channel.leases.release(list(self._delivered))
        self._delivered.clear()
        return []


class Channel(StockChannel):
    """The channel of `taskfleet.brokers.sqs.Transport`."""

    QoS = QoS
    # One base64 less on the way: JSON in JSON grows by its quotes only.
    body_encoding = "utf-8"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._failures: Counter[str] = Counter()
        self._asynsqs: Receiver | None = None

    # -- queues: made by the release's stack, never by a worker ------------------------------------

    def _update_queue_cache(self, queue_name_prefix: str) -> None:
        """kombu lists all queues of the account here. Names are looked up one by one, when needed."""
        if self.predefined_queues:
            super()._update_queue_cache(queue_name_prefix)

    def _resolve_queue_url(self, queue: str) -> str:
        name = self.canonical_queue_name(queue)
        if self.predefined_queues or name in self._queue_cache:
            return str(super()._resolve_queue_url(queue))
        try:
            url = self.sqs().get_queue_url(QueueName=name)["QueueUrl"]
        except ClientError as error:
            if "NonExistentQueue" not in error.response["Error"]["Code"] and (
                error.response["Error"]["Code"] != "QueueDoesNotExist"
            ):
                raise
            raise DoesNotExistQueueException(
                f"there is no SQS queue {name!r}: queues are made by deploying a release, not by its workers"
            ) from error
        self._queue_cache[name] = url
        return str(url)

    def _new_queue(self, queue: str, **kwargs: Any) -> str:
        return self._resolve_queue_url(queue)

    def queue_declare(self, queue: str = "", passive: bool = False, **kwargs: Any) -> Any:
        """Nothing to do, and nothing that could fail while SQS is away."""
        return queue_declare_ok_t(queue, 0, 0)

    # -- clients ----------------------------------------------------------------------------------

    @cached_property
    def lease_seconds(self) -> int:
        return int(self.transport_options.get("lease_seconds", LEASE_SECONDS))

    @cached_property
    def sqs_base64_encoding(self) -> bool:
        return bool(self.transport_options.get("sqs_base64_encoding", False))

    @cached_property
    def leases(self) -> Leases:
        return Leases(self._make_client, lease_seconds=self.lease_seconds)

    def _make_client(self, **config: Any) -> Any:
        # A client of its own for each use: one long poll must not hold up a delete.
        return self._new_boto_client(
            service="sqs",
            region=self.region,
            access_key_id=self.conninfo.userid,
            secret_access_key=self.conninfo.password,
            config=Config(**config) if config else None,
        )

    def _new_boto_client(self, service: Any, *args: Any, config: Any = None, **kwargs: Any) -> Any:
        mine = Config(**{**_CLIENT_CONFIG, **(self.transport_options.get("client-config") or {})})
        return super()._new_boto_client(
            service, *args, config=mine.merge(config) if config else mine, **kwargs
        )

    def sqs(self, queue: str | None = None) -> Any:
        """The ``client`` of the transport options, if any: producers in threads share one."""
        return self.transport_options.get("client") or super().sqs(queue)

    @cached_property
    def _waiting_client(self) -> Any:
        """For long polls without an event loop: its read timeout must outlast the poll."""
        return self._make_client(read_timeout=self.wait_time_seconds + GRACE_SECONDS)

    def asynsqs(self, queue: str | None = None) -> Any:
        if self._asynsqs is None:
            self._asynsqs = Receiver(
                sqs_connection=self.sqs(queue=queue),
                wait_seconds=self.wait_time_seconds,
                http_client=get_client(self.hub, max_clients=CONCURRENT_REQUESTS),
                region=self.region,
            )
        return self._asynsqs

    # -- receiving with an event loop (prefork, threads) -----------------------------------------------

    def _schedule_queue(self, queue: str) -> None:
        """Poll a queue; a failure of any kind is a pause for this queue, never the end of its polling."""
        try:
            super()._schedule_queue(queue)
        except (*_ERRORS, DoesNotExistQueueException) as error:
            self._after_failure(queue, str(error))

    def _get_from_sqs(
        self, queue_name: str, queue_url: str, connection: Any, count: int = 1, callback: Any = None
    ) -> Any:
        return connection.receive_message(
            queue_name,
            queue_url,
            number_messages=count,
            wait_time_seconds=self.wait_time_seconds,
            visibility_timeout=self.lease_seconds,
            callback=callback,
        )

    def _on_messages_ready(self, queue: str, qname: str, messages: dict[str, Any]) -> int:
        failure = messages.get(FAILURE)
        if failure is None:
            self._failures.pop(qname, None)
            kept = [message for message in messages.get("Messages") or () if not self._snooze(queue, message)]
            return int(super()._on_messages_ready(queue, qname, {"Messages": kept}))
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

    # -- receiving without one (gevent) ---------------------------------------------------------------

    def drain_events(self, timeout: float | None = None, callback: Any = None, **kwargs: Any) -> None:
        if self._consumers and not self.qos.can_consume():
            time.sleep(min(timeout or 0.1, 0.1))  # polling_interval is 0: this would spin
        super().drain_events(timeout=timeout, callback=callback, **kwargs)

    def _receive_message(
        self, queue: str, max_number_of_messages: int = 1, wait_time_seconds: int | None = None
    ) -> dict[str, Any]:
        url = self._new_queue(queue)
        alone = len(self._active_queues) <= 1
        reply = self._waiting_client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=max_number_of_messages,
            WaitTimeSeconds=self.wait_time_seconds
            if alone
            else min(SHARED_WAIT_SECONDS, self.wait_time_seconds),
            VisibilityTimeout=self.lease_seconds,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        kept = [message for message in reply.get("Messages") or () if not self._snooze(url, message)]
        return {"Messages": kept}

    def _get_bulk(self, queue: str, *args: Any, **kwargs: Any) -> None:
        try:
            super()._get_bulk(queue, *args, **kwargs)
        except (*_ERRORS, DoesNotExistQueueException) as error:
            self._failures[queue] += 1
            self._warn(queue, str(error))
            time.sleep(self._pause(queue))
            raise Empty from error
        self._failures.pop(queue, None)

    # -- a message's life -----------------------------------------------------------------------------

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        delay = eta.publish_delay_seconds(message, now=time.time())
        if delay:
            message["properties"].setdefault("DelaySeconds", delay)
        super()._put(queue, message, **kwargs)

    def _snooze(self, queue_url: str, message: dict[str, Any]) -> bool:
        """Hide a message whose time is far off, without keeping it in memory. Whether that was done."""
        seconds = eta.snooze_seconds(message["Body"], now=time.time())
        if not seconds:
            return False
        try:
            self.sqs().change_message_visibility(
                QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=seconds
            )
        except _ERRORS as error:
            logger.warning("SQS did not hide a message until its time, so it is kept here: %s", error)
            return False
        return True

    def _envelope_payload(
        self, payload: dict[str, Any], raw_text: str, message: dict[str, Any], q_url: str
    ) -> dict[str, Any]:
        payload = super()._envelope_payload(payload, raw_text, message, q_url)
        received = int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1))
        deliveries = max(0, received - 1)
        headers = payload["headers"] = payload.get("headers") or {}
        headers[messages.DELIVERIES_HEADER] = deliveries
        payload["properties"]["delivery_info"]["redelivered"] = deliveries > 0
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

    def _goes_to_dead_letters(self, delivery_tag: str) -> bool:
        try:
            info = self.qos.get(delivery_tag).delivery_info
        except KeyError:
            return False
        try:
            return bool(self._has_redrive_policy(None, info["sqs_queue"]))
        except (BotoCoreError, OSError):
            return True

    def _release_messages(self, queue: str, qname: str, messages: Iterable[dict[str, Any]]) -> None:
        super()._release_messages(queue, qname, list(messages))

    def close(self) -> None:
        if not self.closed:
            super().close()
            self.leases.close()
