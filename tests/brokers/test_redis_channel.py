"""The Redis transport as kombu's own API shows it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from queue import Empty
from typing import Any

import pytest
import redis
from kombu import Connection, Consumer, Producer
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError
from taskfleet.brokers import PRIMARY_TRANSPORT
from taskfleet.brokers.redis import counts
from taskfleet.contract import messages

from tests.support.processes import wait_for
from tests.support.valkey import Valkey


@pytest.fixture
def client(valkey: Valkey) -> redis.Redis:
    """The broker, emptied."""
    client = valkey.client()
    client.flushall()
    return client


@pytest.fixture
def connection(valkey: Valkey, client: redis.Redis) -> Iterator[Connection]:
    """A connection of ours."""
    with _connect(valkey) as connection:
        yield connection


def _connect(valkey: Valkey, transport: str | None = PRIMARY_TRANSPORT, **options: Any) -> Connection:
    return Connection(valkey.url, transport=transport, transport_options=options)


def _publish(connection: Connection, queue: str, *bodies: Any, **options: Any) -> None:
    producer = Producer(connection.default_channel)
    for body in bodies:
        producer.publish(body, routing_key=queue, **options)


class Inbox:
    """A consumer that keeps what it gets."""

    def __init__(self, connection: Connection, *queues: str, prefetch: int = 0, **options: Any) -> None:
        self.connection, self.messages = connection, []
        self.channel = connection.channel()
        self.channel.basic_qos(0, prefetch, False)
        self.consumer = Consumer(
            self.channel,
            [Queue(name, routing_key=name) for name in queues],
            on_message=self.messages.append,
            **options,
        )
        self.consumer.consume()

    def drain(self, seconds: float = 0.3) -> list[Any]:
        """Everything received so far, after waiting for more."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self.connection.drain_events(timeout=0.05)
            except TimeoutError:
                continue
        return [message.payload for message in self.messages]


def test_priorities_come_first_and_queues_take_turns(valkey: Valkey, connection: Connection) -> None:
    _publish(connection, "a", "a1", "a2", "a3")
    _publish(connection, "b", "b1", "b2")
    _publish(connection, "b", "late", priority=9)

    assert Inbox(connection, "a", "b", prefetch=10).drain() == ["a1", "b1", "a2", "b2", "a3", "late"]


def test_strict_order_of_queues_is_kept(valkey: Valkey, client: redis.Redis) -> None:
    with _connect(valkey, queue_order_strategy="priority") as connection:
        _publish(connection, "low", "l1", "l2")
        _publish(connection, "high", "h1", "h2")

        assert Inbox(connection, "high", "low").drain() == ["h1", "h2", "l1", "l2"]


def test_no_more_is_fetched_than_there_is_room_for(connection: Connection, client: redis.Redis) -> None:
    _publish(connection, "q", *range(5))
    inbox = Inbox(connection, "q", prefetch=2)

    assert inbox.drain() == [0, 1]
    assert client.hlen("unacked") == 2
    for message in inbox.messages:
        message.ack()
    assert inbox.drain() == [0, 1, 2, 3]


def test_a_waiting_consumer_has_asked_for_the_next_message_already(
    connection: Connection, client: redis.Redis
) -> None:
    inbox = Inbox(connection, "q", prefetch=2)
    assert inbox.drain() == []
    with connection.clone() as producer:
        _publish(producer, "q", "one")

    # It does nothing meanwhile: the fetch was sent together with the wait for the bell.
    wait_for(lambda: client.hlen("unacked") == 1, seconds=0.8, what="Redis to hand the message over")
    assert inbox.drain(0.1) == ["one"]


def test_an_acknowledgement_does_not_wait_for_the_bell(connection: Connection, client: redis.Redis) -> None:
    _publish(connection, "q", "one")
    inbox = Inbox(connection, "q", prefetch=2)
    assert inbox.drain() == ["one"]
    inbox.messages[0].ack()

    inbox.drain(0.2)  # the wait for the bell takes a second
    assert client.hlen("unacked") == 0


def test_a_key_prefix_is_before_every_key(valkey: Valkey, client: redis.Redis) -> None:
    with _connect(valkey, global_keyprefix="mine:") as connection:
        _publish(connection, "q", "one", "two", "three")
        inbox = Inbox(connection, "q", prefetch=2)
        assert inbox.drain() == ["one", "two"]
        inbox.messages[0].ack()
        inbox.messages[1].requeue()
        assert inbox.drain()[2:] == ["three", "two"]
        assert all(key.startswith("mine:") for key in client.keys("*"))
    assert client.llen("mine:q") == 2


def test_the_count_of_what_was_fetched_is_not_made_anew_by_what_is_given_back(
    valkey: Valkey, client: redis.Redis
) -> None:
    key = messages.REDIS_TAKEN + "q"
    with _connect(valkey) as leaving:
        _publish(leaving, "q", "one", "two")
        assert Inbox(leaving, "q", prefetch=2).drain() == ["one", "two"]
        assert client.ttl(key) > 0
        client.delete(key)  # as when it has expired
    assert client.llen("q") == 2
    assert not client.exists(key), "nothing would ever remove it"


def test_a_ring_wakes_at_once_and_a_stock_producer_within_a_second(
    valkey: Valkey, connection: Connection
) -> None:
    inbox = Inbox(connection, "q")
    inbox.drain()
    for transport, at_most in ((PRIMARY_TRANSPORT, 0.2), (None, 1.5)):
        with _connect(valkey, transport) as other:
            other.default_channel.client.ping()
            publisher = threading.Timer(0.3, _publish, (other, "q", "now"))
            publisher.start()
            began, before = time.monotonic(), len(inbox.messages)
            while len(inbox.messages) == before:
                connection.drain_events(timeout=3)
            took = time.monotonic() - began - 0.3
            publisher.join()
            assert took < at_most


def test_what_is_no_message_is_set_aside_and_the_rest_goes_on(
    connection: Connection, client: redis.Redis
) -> None:
    wrong = [
        "not JSON",
        "[]",
        "{}",
        '{"properties": 3}',
        '{"properties": {"body_encoding": "base64"}, "body": "a"}',
        "[" * 3000,
        '{"properties": {"delivery_info": {"__type__": "decimal", "__value__": "x"}}}',
    ]
    client.lpush("q", *wrong)
    client.lpush("q", b"\xff\xfe")
    _publish(connection, "q", "good")

    inbox = Inbox(connection, "q", prefetch=1)

    assert inbox.drain(1) == ["good"]
    kept = client.lrange(messages.REDIS_PARKED + "q", 0, -1)
    assert len(kept) == len(wrong) + 1
    assert all("not a message" in entry for entry in kept)
    inbox.messages[0].ack()
    inbox.drain(0.1)
    assert not client.exists("unacked", messages.REDIS_IN_FLIGHT + "q")


def test_the_counts_do_not_stumble_over_what_is_no_message(client: redis.Redis) -> None:
    client.lpush("q", "[" * 3000)

    assert counts.read(client, ["q"])["q"].oldest_at is None


def test_one_that_sets_malformed_ones_aside_itself(valkey: Valkey, client: redis.Redis) -> None:
    seen: list[dict[str, Any]] = []
    client.lpush("q", "not JSON")
    with _connect(valkey, on_malformed=lambda **what: seen.append(what)) as connection:
        Inbox(connection, "q").drain()

    assert [(what["queue"], what["payload"]) for what in seen] == [("q", b"not JSON")]


def test_the_same_message_twice_is_two_deliveries(connection: Connection, client: redis.Redis) -> None:
    """A retry inside a client sends the same bytes twice, and so the same tag."""
    _publish(connection, "q", "twin")
    client.lpush("q", client.lindex("q", 0))
    inbox = Inbox(connection, "q")
    assert inbox.drain() == ["twin", "twin"]

    inbox.messages[0].ack()
    inbox.drain(0.1)

    assert client.hlen("unacked") == 1


def test_an_answer_that_was_lost_comes_again(connection: Connection, client: redis.Redis) -> None:
    inbox = Inbox(connection, "q", prefetch=4)
    inbox.drain()
    _publish(connection, "q", "held")
    inbox.drain()
    channel = inbox.channel
    _publish(connection, "q", "lost")
    # The fetch is sent and answered, and then the connection is gone before anybody reads it.
    channel._in_poll, channel.answer_due_at = None, None
    channel.client.connection.disconnect()
    channel.client.connection.connect()
    channel._brpop_start()
    wait_for(lambda: client.hlen("unacked") == 2, what="the fetch")

    channel.client.connection.disconnect()

    assert inbox.drain(1) == ["held", "lost"]
    assert client.hlen("unacked") == 2
    assert client.zcard(messages.REDIS_SESSIONS) == 1


def test_a_session_whose_renewal_was_not_answered_keeps_what_it_holds(own_valkey: Valkey) -> None:
    with _connect(own_valkey, socket_timeout=0.5) as connection:
        _publish(connection, "q", "held")
        inbox = Inbox(connection, "q", prefetch=1)
        assert inbox.drain() == ["held"]
        client = own_valkey.client()
        before = client.zrange(messages.REDIS_SESSIONS, 0, -1)
        inbox.channel._in_doubt = True
        own_valkey.pause()
        with pytest.raises(redis.exceptions.TimeoutError):
            inbox.channel._open_session()
        own_valkey.resume()  # and it runs what it has got meanwhile
        wait_for(lambda: client.zrange(messages.REDIS_SESSIONS, 0, -1) != before, what="the renewal")

        inbox.channel._open_session()
        inbox.messages[0].ack()
        inbox.drain(0.1)

        assert client.zcard(messages.REDIS_SESSIONS) == 1
        assert not client.exists("unacked", messages.REDIS_IN_FLIGHT + "q")


def test_a_socket_that_is_readable_without_a_message_does_not_stop_the_loop(connection: Connection) -> None:
    inbox = Inbox(connection, "q")
    news = Exchange("news", type="fanout")
    broadcasts = [Queue("everyone", news, auto_delete=True)]
    Consumer(inbox.channel, broadcasts, on_message=inbox.messages.append).consume()
    inbox.drain(0.5)  # both have asked, and nothing is there any more
    events: list[str] = []

    def woken() -> None:
        for event in ("LISTEN", "BRPOP"):
            with contextlib.suppress(Empty):
                inbox.channel.handlers[event]()
            events.append(event)

    loop = threading.Thread(target=woken, daemon=True)
    loop.start()
    loop.join(0.5)

    assert events == ["LISTEN", "BRPOP"]
    Producer(inbox.channel, exchange=news).publish("heard")
    _publish(connection, "q", "worked")
    assert sorted(inbox.drain(1)) == ["heard", "worked"]


def test_scripts_that_redis_has_forgotten_are_sent_again(connection: Connection, client: redis.Redis) -> None:
    inbox = Inbox(connection, "q")
    inbox.drain()
    client.script_flush()
    _publish(connection, "q", "one")
    client.script_flush()

    assert inbox.drain(1.5) == ["one"]


def test_a_consumer_that_does_not_acknowledge_leaves_nothing(
    connection: Connection, client: redis.Redis
) -> None:
    _publish(connection, "q", "one", "two")

    assert Inbox(connection, "q", no_ack=True).drain() == ["one", "two"]
    assert not client.exists("unacked", messages.REDIS_IN_FLIGHT + "q")


def test_get_one_by_one(connection: Connection, client: redis.Redis) -> None:
    _publish(connection, "q", "one", "two")
    queue = Queue("q", routing_key="q")(connection.default_channel)

    first, second, none = queue.get(), queue.get(no_ack=True), queue.get()

    assert (first.payload, second.payload, none) == ("one", "two", None)
    assert client.hlen("unacked") == 1
    connection.close()
    assert client.llen("q") == 1


def test_a_confirmed_publish_fails_without_a_replica(valkey: Valkey, client: redis.Redis) -> None:
    options = {"confirm_replicas": {"important": 1}, "confirm_timeout_ms": 50}
    with _connect(valkey, **options) as connection:
        _publish(connection, "other.r1", "fine")
        with pytest.raises(OperationalError, match="0 of 1 replicas"):
            _publish(connection, "important.r1", "?", retry=True, retry_policy={"max_retries": 0})
    assert client.llen("other.r1") == 1


def test_a_confirmed_publish_is_on_the_replica(
    valkey: Valkey, own_valkey: Valkey, client: redis.Redis
) -> None:
    own_valkey.client().config_set("masterauth", valkey.password)
    own_valkey.client().replicaof(valkey.host, valkey.port)
    online = {"state": "online"}.items()
    wait_for(lambda: online <= client.info("replication").get("slave0", {}).items(), what="the replica")
    with _connect(valkey, confirm_replicas=1, confirm_timeout_ms=2000) as connection:
        _publish(connection, "q", "safe")
        assert own_valkey.client().llen("q") == 1


def test_publishing_to_a_full_broker_fails_and_pushes_nothing(valkey: Valkey, client: redis.Redis) -> None:
    with _connect(valkey) as connection:
        _publish(connection, "q", "before")
        client.config_set("maxmemory", "1mb")
        try:
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                _publish(connection, "q", "after")
        finally:
            client.config_set("maxmemory", "0")
        assert client.llen("q") == 1


def test_an_end_that_comes_after_the_lease_still_counts(valkey: Valkey, client: redis.Redis) -> None:
    options = {"lease_seconds": 1.3}
    with _connect(valkey, **options) as starved, _connect(valkey, **options) as other:
        _publish(starved, "q", "late")
        first = Inbox(starved, "q", prefetch=1)
        assert first.drain() == ["late"]
        first.channel.session._over.set()  # nothing renews its lease any more
        second = Inbox(other, "q", prefetch=1)
        wait_for(lambda: second.drain(0.1) == ["late"], what="its redelivery")

        first.messages[0].ack()
        with contextlib.suppress(redis.exceptions.ConnectionError):
            first.drain(0.5)
        second.messages[0].requeue()
        _publish(starved, "q", "next")

        assert second.drain(1) == ["late", "next"], "what has ended is not run again"
        assert second.messages[1].headers[messages.DELIVERIES_HEADER] == 0
        second.messages[1].ack()
        assert second.drain(1) == ["late", "next"], "nor when there is room for what was given back"
        assert client.llen("q") == 0


def test_what_was_held_back_does_not_count_when_its_worker_ends(valkey: Valkey, client: redis.Redis) -> None:
    options = {"lease_seconds": 1.3}
    with _connect(valkey, **options) as dying, _connect(valkey, **options) as other:
        _publish(dying, "q", "begun", "held back", "begun late")
        first = Inbox(dying, "q", prefetch=3)
        first.drain()
        for message in first.messages[1:]:
            first.channel.hold_back(message.delivery_tag)
        assert first.channel.begin(first.messages[2].delivery_tag)
        first.channel.session._over.set()
        second = Inbox(other, "q", prefetch=3)

        wait_for(lambda: len(second.drain(0.1)) == 3, what="redelivery")

        counts = {each.payload: each.headers[messages.DELIVERIES_HEADER] for each in second.messages}
        assert counts == {"begun": 1, "held back": 0, "begun late": 1}
