"""Queues by name, and the clients to reach them: nothing here makes a queue or lists them."""

from __future__ import annotations

from typing import Any

from amqp.protocol import queue_declare_ok_t
from botocore.client import Config
from botocore.exceptions import ClientError
from kombu.transport.SQS import Channel as StockChannel
from kombu.transport.SQS.exceptions import DoesNotExistQueueException
from kombu.utils.objects import cached_property

from taskfleet.brokers.sqs.leases import Leases
from taskfleet.brokers.sqs.receiving import GRACE_SECONDS, Receiver, http_client
from taskfleet.brokers.sqs.renewal import Account, Renewal
from taskfleet.contract.limits import SQS_LEASE_SECONDS

RENEWING = "renewing_process"  # a transport option, as on Redis
_CLIENT_CONFIG = {"connect_timeout": 2, "read_timeout": 5, "retries": {"total_max_attempts": 2}}
# Tried again by `Leases` itself; and the end of a worker must not wait long for SQS.
_LEASE_CONFIG = {"connect_timeout": 2, "read_timeout": 3, "retries": {"total_max_attempts": 1}}
NO_SUCH_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


class NamingChannel(StockChannel):
    """Queues are made by the release's stack. A name is looked up when it is first used."""

    _asynsqs: Receiver | None = None

    @property
    def _queue_cache(self) -> dict[str, str]:
        """The ``queue_urls`` of the transport options, if any: one look-up for all connections of a pool."""
        urls: dict[str, str] = self.transport_options.get("queue_urls", self.connection._queue_cache)
        return urls

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
            if error.response["Error"]["Code"] not in NO_SUCH_QUEUE:
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

    @cached_property
    def lease_seconds(self) -> int:
        return int(self.transport_options.get("lease_seconds", SQS_LEASE_SECONDS))

    @cached_property
    def sqs_base64_encoding(self) -> bool:
        return bool(self.transport_options.get("sqs_base64_encoding", False))

    @cached_property
    def leases(self) -> Leases:
        account, lease = self._account(**_LEASE_CONFIG), self.lease_seconds
        renewal = Renewal(account, lease_seconds=lease) if self.transport_options.get(RENEWING) else None
        return Leases(account.client, lease_seconds=lease, renewal=renewal)

    def _account(self, **config: Any) -> Account:
        session = {
            "region_name": self.region,
            "aws_access_key_id": self.conninfo.userid,
            "aws_secret_access_key": self.conninfo.password,
        }
        client = {
            "config": self._client_config(**config),
            "endpoint_url": self.endpoint_url,
            "use_ssl": self.is_secure is not False,
        }
        return Account(session, client)

    def _client_config(self, **more: Any) -> Config:
        return Config(**{**_CLIENT_CONFIG, **(self.transport_options.get("client-config") or {}), **more})

    def _new_boto_client(self, service: Any, *args: Any, config: Any = None, **kwargs: Any) -> Any:
        mine = self._client_config()
        return super()._new_boto_client(
            service, *args, config=mine.merge(config) if config else mine, **kwargs
        )

    def sqs(self, queue: str | None = None) -> Any:
        """The ``client`` of the transport options, if any: producers in threads share one."""
        return self.transport_options.get("client") or super().sqs(queue)

    @cached_property
    def _waiting_client(self) -> Any:
        """For long polls without an event loop: its read timeout must outlast the poll."""
        return self._account(read_timeout=self.wait_time_seconds + GRACE_SECONDS).client()

    def asynsqs(self, queue: str | None = None) -> Any:
        if self._asynsqs is None:
            self._asynsqs = Receiver(
                sqs_connection=self.sqs(queue=queue),
                wait_seconds=self.wait_time_seconds,
                http_client=http_client(self.hub),
                region=self.region,
            )
        return self._asynsqs
