"""The fallback broker: kombu's SQS transport without its known faults.

Transport options beside kombu's own: ``lease_seconds`` (60), how long a message stays hidden after the
worker that holds it has died; ``renewing_process`` (false), for a worker whose tasks share its process:
another one extends its leases while they keep it from that; ``client-config``, as for kombu, has short
timeouts by default here; ``client``, a boto3 client to publish with.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from botocore.exceptions import ClientError
from kombu.transport.SQS import Transport as StockTransport

from taskfleet.brokers.sqs.channel import Channel

__all__ = ["Channel", "Transport"]


class Transport(StockTransport):
    """The transport that `taskfleet.brokers.FALLBACK_TRANSPORT` names."""

    Channel = Channel
    # Long polling already waits, so waiting between polls only caps the throughput (FACTS, 2).
    polling_interval = 0
    # kombu knows only botocore's own errors: a 403 or a throttled call would end the worker.
    connection_errors = (*StockTransport.connection_errors, ClientError)

    def _deliver(self, message: dict[str, Any], queue: str) -> None:
        """As kombu's, for one message after the other where there is no event loop."""
        deliver = partial(super()._deliver, queue=queue)
        channel = next((each for each in self.channels if queue in each._active_queues), None)
        if channel is None:
            deliver(message)
        else:
            channel.hand_over(message, deliver)
