"""The kept counts are those of a full scan, after whatever happened, and no message is lost or doubled."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import redis
from taskfleet.brokers.redis.commands import Commands, Keys, Lease
from taskfleet.brokers.redis.counts import Counts, read
from taskfleet.contract import limits, messages

from tests.support.valkey import Valkey

QUEUES = ("high.r1", "low.r1", 'odd "name"')
PREFIX = "here:"


class _NoPatience(Lease):
    """A millisecond of silence is too long."""

    def milliseconds(self) -> tuple[int, int]:
        return 10_000, 1


class World:
    """Sessions at one broker, driven at random, beside a model of what must be true."""

    def __init__(self, client: redis.Redis, seed: int) -> None:
        self.client, self.random = client, random.Random(seed)
        keys = Keys(unacked=f"{PREFIX}unacked", index=f"{PREFIX}unacked_index", prefix=PREFIX)
        plain = redis.Redis(connection_pool=redis.ConnectionPool(**client.connection_pool.connection_kwargs))
        self.commands = Commands(plain, keys, Lease(3600))
        self.impatient = Commands(plain, keys, _NoPatience())
        self.published: set[str] = set()
        self.finished: set[str] = set()
        self.sessions: dict[str, dict[str, str]] = {}
        self.number = 0

    def step(self) -> None:
        acts = [self.publish] * 6 + [self.fetch] * 6 + [self.acknowledge] * 3 + [self.requeue, self.open]
        acts += [
            self.follow,
            self.leave,
            self.lapse,
            self.beat,
            self.purge,
            self.fetch_unanswered,
            self.postpone,
        ]
        self.random.choice(acts)()

    def publish(self) -> None:
        self.number += 1
        name = f"m{self.number}"
        message = {
            "body": name,
            "empty": [],
            "large": 12345678901234567890,
            "headers": {messages.PUBLISHED_AT_HEADER: time.time()},
            "properties": {"delivery_tag": f"the publisher's {name}"},
        }
        queue, priority = self.random.choice(QUEUES), self.random.choice(limits.REDIS_PRIORITY_STEPS)
        if self.random.random() < 0.3:
            due = datetime.now(UTC) + timedelta(seconds=self.random.choice([-5, 0.02, 3600]))
            message["headers"]["eta"] = due.isoformat()
        self.commands.publish(queue, priority, message, replicas=0, wait_ms=0)
        self.published.add(name)

    def open(self) -> None:
        if len(self.sessions) < 4:
            self.number += 1
            self.commands.settle("", f"s{self.number}")
            self.sessions[f"s{self.number}"] = {}

    def _some(self) -> str | None:
        return self.random.choice(sorted(self.sessions)) if self.sessions else None

    def fetch(self, *, answered: bool = True) -> None:
        session = self._some()
        if session is None:
            return
        self.number += 1
        held = self.sessions[session]
        done = self.random.sample(sorted(held), k=min(len(held), self.random.randrange(3)))
        reply = self.commands.fetch(
            session=session,
            number=self.number,
            many=self.random.randrange(1, 6),
            queues=self.random.sample(QUEUES, k=2),
            priorities=limits.REDIS_PRIORITY_STEPS,
            rotate=self.random.random() < 0.5,
            acknowledge=done,
        )
        for tag in done:
            self.finished.add(held.pop(tag))
        for tag, text in zip(reply[1::3], reply[2::3], strict=True):
            message = json.loads(text)
            assert message["empty"] == []
            assert message["large"] == 12345678901234567890
            if answered:
                held[tag if isinstance(tag, str) else tag.decode()] = message["body"]

    def fetch_unanswered(self) -> None:
        self.fetch(answered=False)

    def acknowledge(self) -> None:
        session = self._some()
        if session and self.sessions[session]:
            held = self.sessions[session]
            done = self.random.sample(sorted(held), k=min(2, len(held)))
            self.commands.acknowledge(session, done)
            self.finished |= {held.pop(tag) for tag in done}

    def requeue(self) -> None:
        session = self._some()
        if session and self.sessions[session]:
            tag = self.random.choice(sorted(self.sessions[session]))
            self.commands.give_back(session, [tag], count=1, to_the_end=self.random.random() < 0.5)
            del self.sessions[session][tag]

    def postpone(self) -> None:
        session = self._some()
        if session and self.sessions[session]:
            tag = self.random.choice(sorted(self.sessions[session]))
            self.commands.postpone(session, {tag: self.random.choice([0.02, 3600])})
            del self.sessions[session][tag]

    def follow(self) -> None:
        """A lost connection: some run on, the rest goes back, with what was never answered."""
        session = self._some()
        if session:
            held = self.sessions.pop(session)
            kept = {tag: held[tag] for tag in held if self.random.random() < 0.5}
            self.number += 1
            self.commands.settle(session, f"s{self.number}", keep=list(kept))
            self.sessions[f"s{self.number}"] = kept

    def leave(self) -> None:
        session = self._some()
        if session:
            del self.sessions[session]
            self.commands.settle(session, "")

    def lapse(self) -> None:
        """One beats, all others have been silent for too long."""
        session = self._some()
        if session:
            time.sleep(0.005)
            self.impatient.beat(session, cursor="0")
            self.sessions = {session: self.sessions[session]}

    def beat(self) -> None:
        session = self._some()
        if session:
            assert self.commands.beat(session, cursor="0")[0]

    def purge(self) -> None:
        if self.random.random() < 0.1:
            for name in limits.redis_lists(self.random.choice(QUEUES)):
                gone = self.client.lrange(PREFIX + name, 0, -1)
                self.client.delete(PREFIX + name)
                self.finished |= {json.loads(text)["body"] for text in gone}

    def check(self) -> None:
        unacked = self.client.hgetall(f"{PREFIX}unacked")
        scanned = Counter(json.loads(entry)[2] for entry in unacked.values())
        held = Counter(json.loads(entry)[0]["body"] for entry in unacked.values())
        waiting: Counter[str] = Counter()
        scheduled: Counter[str] = Counter()
        for queue, counts in read(self.client, QUEUES, prefix=PREFIX).items():
            kept = self.client.hvals(f"{PREFIX}{messages.REDIS_SCHEDULED_MESSAGES}{queue}")
            scheduled.update(json.loads(text.partition(":")[2])["body"] for text in kept)
            assert len(kept) == self.client.zcard(f"{PREFIX}{messages.REDIS_SCHEDULED}{queue}")
            texts = [
                text
                for name in limits.redis_lists(queue)
                for text in self.client.lrange(PREFIX + name, 0, -1)
            ]
            waiting.update(json.loads(text)["body"] for text in texts)
            assert counts.waiting + counts.scheduled == len(texts) + len(kept)
            assert counts.in_flight == scanned[queue]
            assert (counts.oldest_fetched_at is None) == (scanned[queue] == 0)
        assert set(self.client.zrange(f"{PREFIX}unacked_index", 0, -1)) == set(unacked)
        assert waiting + held + scheduled == Counter(self.published - self.finished)


@pytest.mark.parametrize("seed", range(6))
def test_counts_and_conservation(valkey: Valkey, seed: int) -> None:
    client = valkey.client()
    client.flushall()
    world = World(client, seed)
    for number in range(600):
        world.step()
        if number % 20 == 0:
            world.check()
    world.check()

    while world.sessions:
        world.leave()
    world.check()
    assert not client.keys(f"{PREFIX}taskfleet:owned:*")
    assert not client.keys(f"{PREFIX}taskfleet:inflight:*")


def test_the_oldest_is_the_one_that_waits_longest(valkey: Valkey) -> None:
    client = valkey.client()
    client.flushall()
    for queue, at in (("a", 30.0), ("a", 40.0), (limits.redis_lists("a")[2], 20.0)):
        client.lpush(queue, json.dumps({"headers": {messages.PUBLISHED_AT_HEADER: at}}))

    assert read(client, ("a", "b")) == {"a": Counts(3, 0, oldest_at=20.0), "b": Counts(0, 0)}


def test_one_that_had_to_wait_is_as_old_as_its_eta(valkey: Valkey) -> None:
    client = valkey.client()
    client.flushall()
    headers = {messages.PUBLISHED_AT_HEADER: 30.0, "eta": "1970-01-01T00:01:40+00:00"}
    client.lpush("a", json.dumps({"body": '{"eta": "1970-01-01"}', "headers": headers}))
    client.zadd(messages.REDIS_SCHEDULED + "b", {"due": 50_000, "far": 10**15})

    assert read(client, ("a", "b")) == {
        "a": Counts(1, 0, oldest_at=100.0),
        "b": Counts(1, 0, scheduled=1, oldest_at=50.0),
    }


def test_what_somebody_else_removed_is_not_counted_for_ever(valkey: Valkey) -> None:
    client = valkey.client()
    client.flushall()
    world = World(client, 1)
    world.open()
    world.publish()
    for _ in range(8):
        world.fetch()
    client.delete(f"{PREFIX}unacked", f"{PREFIX}unacked_index")

    world.beat()

    assert {counts.in_flight for counts in read(client, QUEUES, prefix=PREFIX).values()} == {0}
