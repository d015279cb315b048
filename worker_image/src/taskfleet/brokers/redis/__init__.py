"""The primary broker: kombu's Redis transport without its windows of loss.

A message is always in its queue or in `unacked`, never in neither; a worker that lives keeps what it
holds, however long; one that dies gives it back within seconds. Stock producers and stock workers may use
the same queues.

Transport options beside kombu's own: ``lease_seconds`` (13), after which a silent worker's messages go to
others, the same for all workers of a broker; ``renewing_process`` (false), for a worker whose tasks share its
process: another one renews its lease while they keep it from that; ``confirm_replicas``, a number or a
mapping of queue to number (a publish returns when so many replicas have it), ``confirm_timeout_ms`` (500);
and ``on_malformed`` (or its name), called with ``queue``, ``payload`` and ``reason`` for what is no message;
without it that is kept in Redis.
"""

from __future__ import annotations

from kombu.transport.redis import Transport as StockTransport
from redis.exceptions import ResponseError

from taskfleet.brokers.redis.channel import Channel
from taskfleet.brokers.redis.poller import Poller

__all__ = ["Channel", "Transport"]


class Transport(StockTransport):
    """The transport that `taskfleet.brokers.PRIMARY_TRANSPORT` names."""

    Channel = Channel
    # An error that Redis answers (NOREPLICAS, BUSY, NOPERM, MISCONF, OOM, one of a replica) is an outage for
    # who consumes: kombu takes it for a fault of the channel, and the worker ends.
    connection_errors = (*StockTransport.connection_errors, ResponseError)

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.cycle = Poller()
