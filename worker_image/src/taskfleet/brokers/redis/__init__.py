"""The primary broker: kombu's Redis transport without its windows of loss."""

from __future__ import annotations

from kombu.transport import redis as stock


class Channel(stock.Channel):
    """A Redis channel."""


class Transport(stock.Transport):
    """The transport that `taskfleet.brokers.PRIMARY_TRANSPORT` names."""

    Channel = Channel
