"""A publish ends in time, whichever of its steps the broker is slow in."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis
from kombu import Connection
from kombu.exceptions import OperationalError
from taskfleet import deadline
from taskfleet.brokers import PRIMARY_TRANSPORT, connections
from taskfleet.publishing.brokers import NOT_ACCEPTED, PRIMARY_CONNECTIONS, _Pooled, may_have_taken

from tests.brokers.tcp_faults import FaultyTcp
from tests.support.valkey import Valkey

ONE_WAY_SECONDS = 0.1  # a round trip takes twice that, and is within the limit of each step


@pytest.fixture
def slow(valkey: Valkey) -> Iterator[FaultyTcp]:
    """A way to the broker on which everything takes its time."""
    proxy = FaultyTcp(valkey.port)
    proxy.delay_seconds = ONE_WAY_SECONDS
    proxy.start()
    yield proxy
    proxy.stop()


def _publisher(valkey: Valkey, port: int) -> _Pooled:
    url = valkey.url.replace(f":{valkey.port}/", f":{port}/")
    options = connections.primary_producer_options()
    connection = Connection(url, transport=PRIMARY_TRANSPORT, transport_options=options)
    return _Pooled(connection, PRIMARY_CONNECTIONS)


def test_steps_that_are_each_in_time_are_ended_when_their_sum_is_not(valkey: Valkey, slow: FaultyTcp) -> None:
    began = time.monotonic()
    with pytest.raises(NOT_ACCEPTED), deadline.within(0.3):
        _publisher(valkey, slow.port).publish("late", "deadline", {})
    ended = time.monotonic() - began

    began = time.monotonic()
    _publisher(valkey, slow.port).publish("in its own time", "deadline", {})
    assert 0.3 <= ended < time.monotonic() - began
    assert valkey.client().llen("deadline") == 1


def test_what_was_not_sent_for_lack_of_time_is_known_not_to_run(valkey: Valkey) -> None:
    publisher = _publisher(valkey, valkey.port)
    publisher.publish("connects", "deadline-certain", {})

    with pytest.raises((redis.TimeoutError, OperationalError)) as raised, deadline.within(0.0):
        publisher.publish("not sent", "deadline-certain", {})

    assert not may_have_taken(raised.value)
    assert valkey.client().llen("deadline-certain") == 1


def test_a_connection_is_as_before_after_a_publish_that_ended_early(valkey: Valkey, slow: FaultyTcp) -> None:
    publisher = _publisher(valkey, slow.port)
    slow.delay_seconds = 0.0
    publisher.publish("connects", "deadline-after", {})
    slow.delay_seconds = ONE_WAY_SECONDS
    with pytest.raises(NOT_ACCEPTED), deadline.within(ONE_WAY_SECONDS):
        publisher.publish("late", "deadline-after", {})

    before = valkey.client().llen("deadline-after")
    publisher.publish("in its own time", "deadline-after", {})

    assert valkey.client().llen("deadline-after") > before
