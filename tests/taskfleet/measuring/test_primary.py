"""Depths on a real Valkey, of messages that real kombu published, fetched and holds."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis
from kombu import Connection, Exchange, Queue
from kombu.transport.virtual import Channel
from taskfleet.brokers import PRIMARY_TRANSPORT
from taskfleet.contract.messages import (
    PUBLISHED_AT_HEADER,
    REDIS_IN_FLIGHT,
    REDIS_SCHEDULED,
    REDIS_SCHEDULED_MESSAGES,
)
from taskfleet.measuring.holding import holding
from taskfleet.measuring.primary import depths

from tests.support.valkey import Valkey

NOW = 1_790_000_000.0


@pytest.fixture
def client(valkey: Valkey) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey.url) as connection:
        connection.flushall()
        yield connection


@pytest.fixture
def kombu(valkey: Valkey) -> Iterator[Connection]:
    with Connection(valkey.url) as connection:
        yield connection


def a_queue(name: str = "low") -> Queue:
    physical = f"{name}.r{uuid.uuid4().hex[:6]}"
    return Queue(physical, Exchange(physical), routing_key=physical)


def publish(
    kombu: Connection,
    queue: Queue,
    *,
    at: float | None = NOW - 7,
    priority: int = 0,
    eta: str | None = None,
    task: str = "a.task",
) -> None:
    headers = {"task": task, "eta": eta} | ({PUBLISHED_AT_HEADER: at} if at else {})
    kombu.Producer().publish(
        [[], {}, {}],
        headers=headers,
        exchange=queue.exchange,
        routing_key=queue.routing_key,
        declare=[queue],
        priority=priority,
    )


@pytest.fixture
def hold(kombu: Connection) -> Iterator[object]:
    """Fetch messages as a worker that prefetches does, and keep them unacknowledged."""
    channels: list[Channel] = []

    def fetch(queue: Queue, count: int) -> Channel:
        channel = kombu.channel()
        channels.append(channel)
        bound = queue(channel)
        got = [bound.get() for _ in range(count)]
        assert None not in got
        return channel

    yield fetch
    for channel in channels:
        channel.qos._delivered.clear()  # or closing gives them back


def test_waiting_counts_every_priority_list(client: redis.Redis, kombu: Connection) -> None:
    low, high = a_queue(), a_queue("high")
    for priority in range(10):
        publish(kombu, low, priority=priority)
    found = depths(client, [low.name, high.name], now=NOW)
    assert found[low.name].waiting == 10
    assert client.llen(low.name) < 10  # what a plain LLEN would have said
    assert (found[high.name].waiting, found[high.name].age(NOW)) == (0, 0.0)


def test_fetched_messages_are_unacknowledged_until_they_are_acknowledged(
    client: redis.Redis, kombu: Connection, hold
) -> None:
    queue, other = a_queue(), a_queue()
    for _ in range(5):
        publish(kombu, queue)
    publish(kombu, other)
    channel = hold(queue, 3)
    found = depths(client, [queue.name, other.name], now=NOW)
    assert (found[queue.name].waiting, found[queue.name].unacknowledged) == (2, 3)
    assert (found[other.name].waiting, found[other.name].unacknowledged) == (1, 0)
    channel.basic_ack(next(iter(channel.qos._delivered)))
    assert depths(client, [queue.name], now=NOW)[queue.name].unacknowledged == 2


def test_an_eta_still_to_come_is_scheduled_and_a_past_one_is_not(
    client: redis.Redis, kombu: Connection, hold
) -> None:
    queue, now = a_queue(), time.time()
    for seconds in (60, 3600, -60):
        publish(kombu, queue, eta=(datetime.now(UTC) + timedelta(seconds=seconds)).isoformat())
    publish(kombu, queue)
    hold(queue, 4)
    found = depths(client, [queue.name], now=now)[queue.name]
    assert (found.waiting, found.unacknowledged, found.scheduled) == (0, 2, 2)


def test_the_oldest_is_the_next_to_be_served_over_all_priorities(
    client: redis.Redis, kombu: Connection
) -> None:
    queue = a_queue()
    for age in (30, 20, 10):
        publish(kombu, queue, at=NOW - age, priority=0)
    publish(kombu, queue, at=NOW - 45, priority=9)
    assert depths(client, [queue.name], now=NOW)[queue.name].age(NOW) == pytest.approx(45)
    fetched = queue(kombu.channel()).get(no_ack=True)
    assert fetched.headers[PUBLISHED_AT_HEADER] == NOW - 30
    client.delete(f"{queue.name}\x06\x169")
    assert depths(client, [queue.name], now=NOW)[queue.name].age(NOW) == pytest.approx(20)


def test_an_age_that_no_message_tells_is_unknown_not_zero(client: redis.Redis, kombu: Connection) -> None:
    queue = a_queue()
    publish(kombu, queue, at=None)
    found = depths(client, [queue.name], now=NOW)[queue.name]
    assert (found.waiting, found.age(NOW)) == (1, None)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"headers": null}',
        b"\xff\xfe",
        b'{"headers": {"taskfleet_published_at": "soon"}}',
    ],
)
def test_a_malformed_message_has_no_age_and_breaks_nothing(client: redis.Redis, message: bytes) -> None:
    client.lpush("low.r1", message)
    client.hset("unacked", "tag", message)
    found = depths(client, ["low.r1"], now=NOW)["low.r1"]
    assert (found.waiting, found.age(NOW)) == (1, None)


def test_what_stock_workers_hold_is_counted_once_however_many_pages_it_has(client: redis.Redis) -> None:
    entry = '[{"body": "' + "x" * 2000 + '", "headers": {"eta": null}}, "low.r1", "low.r1"]'
    compact = '[{"body":"","headers":{"eta":null}},"low.r2","low.r2"]'
    held = {f"a{n}": entry for n in range(3000)} | {f"b{n}": compact for n in range(2500)}
    client.hset("unacked", mapping=held)
    client.zadd("unacked_index", dict.fromkeys(held, time.time()))
    found = depths(client, ["low.r1", "low.r2"], now=NOW)
    assert [found[q].unacknowledged for q in ("low.r1", "low.r2")] == [3000, 2500]


def test_more_than_may_be_looked_into_is_not_known(client: redis.Redis) -> None:
    ours = {f"a:1:{n}": time.time() + 6 * 3600 for n in range(30)}
    client.zadd("unacked_index", ours)
    client.zadd(REDIS_IN_FLIGHT + "low.r1", dict.fromkeys(ours, 1))
    found = depths(client, ["low.r1", "low.r2"], now=NOW, look_into_at_most=1)
    assert [depth.unacknowledged for depth in found.values()] == [30, 0]
    client.zadd("unacked_index", {"stock": time.time(), "workers": time.time()})
    found = depths(client, ["low.r1", "low.r2"], now=NOW, look_into_at_most=1)
    assert {depth.unacknowledged for depth in found.values()} == {None}  # whose is it? Not known: not zero
    assert {depth.scheduled for depth in found.values()} == {None}


def test_a_look_reads_no_bodies(client: redis.Redis, kombu: Connection, valkey: Valkey, hold) -> None:
    queue, body = a_queue(), "x" * 200_000
    for transport, priority in ((PRIMARY_TRANSPORT, 0), (None, 3)):
        with Connection(valkey.url, transport=transport) as connection:
            for _ in range(4):
                connection.Producer().publish(
                    body, headers={PUBLISHED_AT_HEADER: NOW}, routing_key=queue.name, priority=priority
                )
    hold(queue, 2)
    before = client.info("stats")["total_net_output_bytes"]
    found = depths(client, [queue.name], now=NOW + 1)[queue.name]
    assert (found.waiting, found.unacknowledged, found.age(NOW + 1)) == (6, 2, 1.0)
    assert client.info("stats")["total_net_output_bytes"] - before < 20_000


def test_what_the_fleets_own_transport_fetches_is_counted(client: redis.Redis, valkey: Valkey) -> None:
    queue = a_queue()
    with Connection(valkey.url, transport=PRIMARY_TRANSPORT) as connection:
        for _ in range(3):
            publish(connection, queue)
        got = queue(connection.channel()).get()
        assert got.headers["task"] == "a.task"
        found = depths(client, [queue.name], now=NOW, look_into_at_most=0)[queue.name]
        assert (found.waiting, found.unacknowledged) == (2, 1)
        got.ack()


def test_a_broker_that_does_not_answer_is_an_error_not_a_zero(valkey: Valkey) -> None:
    dead = redis.Redis(host="127.0.0.1", port=1, socket_timeout=0.5, retry=None)
    with pytest.raises(redis.ConnectionError):
        depths(dead, ["low.r1"], now=NOW)


def test_what_holds_a_queue_is_told_by_name(client: redis.Redis, kombu: Connection) -> None:
    queue = a_queue()
    for priority in (0, 3):
        for _ in range(2):
            publish(kombu, queue, priority=priority)
    publish(kombu, queue, priority=9, task="")
    own, later = f"{REDIS_IN_FLIGHT}{queue.name}", f"{REDIS_SCHEDULED}{queue.name}"
    client.zadd(own, {"tag": 1})
    client.hset("unacked", "tag", json.dumps([{"headers": {"task": "runs"}}, "", queue.name]))
    client.zadd(later, {"id": 1})
    client.hset(f"{REDIS_SCHEDULED_MESSAGES}{queue.name}", "id", '0:{"headers": {"task": "later"}}')

    assert holding(client, [queue.name]) == {"a.task": 4, "unnamed": 1, "runs": 1, "later": 1}
    assert holding(client, [queue.name], look_into_at_most=1)["a.task"] == 2
    assert holding(client, []) == {}
