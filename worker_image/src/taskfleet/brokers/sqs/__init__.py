"""The fallback broker: kombu's SQS transport without its known faults."""

from __future__ import annotations

from kombu.transport import SQS as stock


class Channel(stock.Channel):
    """An SQS channel."""


class Transport(stock.Transport):
    """The transport that `taskfleet.brokers.FALLBACK_TRANSPORT` names."""

    Channel = Channel
