"""Figures of tasks: histograms that add up, minutes in a real Valkey, and bounded counting."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from functools import reduce

import pytest
import redis
from taskfleet.contract import figures
from taskfleet.measuring import adding, tasks
from taskfleet.measuring.histogram import LAST, Histogram, bound, bucket
from taskfleet.worker.tally import Tally, measured

from tests.support.valkey import Valkey


@pytest.fixture
def client(valkey: Valkey) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey.url) as connection:
        connection.flushall()
        yield connection


def of(values: list[float]) -> Histogram:
    return Histogram(dict(Counter(map(bucket, values))), sum(values))


def add(client: redis.Redis, counts: dict[tasks.Key, dict[str, int]], first: int = 1) -> None:
    adding.add(client, "dev", "r1", adding.pages(counts, first=first), sender="a")


def read(client: redis.Redis) -> dict[tasks.Key, tasks.Figures]:
    now = time.time()
    return tasks.read(client, "dev", "r1", now - 120, now + 60)


def test_histograms_of_parts_are_that_of_all_and_their_percentiles_are_right_to_a_tenth() -> None:
    chance = random.Random(7)
    values = [chance.lognormvariate(-1, 1.5) for _ in range(5000)]

    merged = reduce(Histogram.merged, (of(values[at::7]) for at in range(7)), Histogram())

    assert merged.counts == of(values).counts
    assert merged.count == 5000
    assert merged.sum == pytest.approx(sum(values))
    for q in (0.1, 0.5, 0.9, 0.99):
        assert merged.percentile(q) == pytest.approx(sorted(values)[int(q * 5000)], rel=0.1)


def test_a_histogram_of_nothing_has_no_percentile_and_no_share_is_above_all() -> None:
    assert Histogram().percentile(0.5) is None
    assert Histogram().mean is None
    with pytest.raises(ValueError, match="from 0 to 1"):
        of([1.0]).percentile(95)


@pytest.mark.parametrize("value", [0.0, 0.001, 0.0011, 1.0, 59.9, 3600.0])
def test_a_value_is_in_the_bucket_whose_bound_it_does_not_pass(value: float) -> None:
    number = bucket(value)
    assert value <= bound(number) * (1 + 1e-9)
    assert number == 0 or value > bound(number - 1) * (1 - 1e-9)


def test_what_is_beyond_all_buckets_is_in_the_last() -> None:
    assert bucket(1e9) == LAST


def test_what_several_add_is_read_as_one(client: redis.Redis) -> None:
    run = {"outcome:succeeded": 1, **dict(measured("runtime", 0.25)), **dict(measured("wait:3", 1.5))}
    add(client, {("low", "a"): run, ("high", "a"): {"outcome:failed": 1, "exception:KeyError": 1}})
    adding.add(client, "dev", "r1", adding.pages({("low", "a"): run}, first=1), sender="b")

    found = read(client)

    low = found["low", "a"]
    assert (low.succeeded, low.failed, low.ended) == (2, 0, 2)
    assert (low.runtime.count, low.runtime.sum) == (2, pytest.approx(0.5))
    assert low.wait.sum == low.waits[3].sum == pytest.approx(3.0)
    assert found["high", "a"].exceptions == {"KeyError": 1}
    assert tasks.read(client, "dev", "r2", time.time() - 120, time.time()) == {}


def test_what_is_sent_again_because_its_answer_was_lost_counts_once(client: redis.Redis) -> None:
    batch = adding.pages({("low", f"t{n}"): {"outcome:succeeded": 1} for n in range(120)}, first=1)
    assert len(batch) > 1
    adding.add(client, "dev", "r1", batch[:1], sender="a")

    adding.add(client, "dev", "r1", batch, sender="a")
    adding.add(client, "dev", "r1", batch, sender="a")

    assert {each.succeeded for each in read(client).values()} == {1}
    assert len(read(client)) == 120


def test_a_minute_goes_by_the_broker_s_clock_and_is_gone_after_hours(client: redis.Redis) -> None:
    add(client, {("low", "a"): {"outcome:succeeded": 1}})

    (key,) = client.keys(figures.prefix("dev", "r1") + "*")

    minute = int(client.time()[0]) // 60
    assert key.decode() in {figures.key("dev", "r1", minute), figures.key("dev", "r1", minute - 1)}
    assert 0 < client.ttl(key) <= figures.KEEP_SECONDS


def test_minutes_are_read_apart_in_their_order_and_those_without_a_run_are_none(client: redis.Redis) -> None:
    field = figures.name("low", "a")
    for minute, failed in ((100, 3), (102, 5)):
        client.hset(figures.key("dev", "r1", minute), field, f'{{"outcome:failed": {failed}}}')

    apart = tasks.read_by_minute(client, "dev", "r1", 99 * 60, 103 * 60)

    assert [each.failed for each in apart["low", "a"]] == [3, 5]
    assert tasks.read(client, "dev", "r1", 99 * 60, 103 * 60)["low", "a"].failed == 8
    assert [each.failed for each in tasks.read_by_minute(client, "dev", "r1", 0, 6001)["low", "a"]] == [3]


def test_a_minute_knows_so_many_names_and_no_more(client: redis.Redis) -> None:
    counts = {("low", f"t{n}"): {"outcome:succeeded": 1} for n in range(figures.MOST_NAMES + 30)}

    add(client, counts)

    found = read(client)
    assert len(found) == figures.MOST_NAMES + 1
    assert found["low", figures.OTHER].succeeded == 30


def test_a_full_broker_takes_no_figures(client: redis.Redis) -> None:
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(redis.OutOfMemoryError):
            add(client, {("low", "a"): {"outcome:succeeded": 1}})
    finally:
        client.config_set("maxmemory", "0")
    assert read(client) == {}


def test_a_broker_that_does_not_answer_is_no_fleet_without_tasks() -> None:
    with pytest.raises(redis.ConnectionError):
        read(redis.Redis(port=1))


def test_a_tally_takes_no_more_memory_with_more_names_or_exceptions() -> None:
    tally = Tally()
    for taken in range(3):
        for n in range(2 * figures.MOST_NAMES):
            tally.add("low", f"t{taken}.{n}", [("outcome:failed", 1), (f"exception:E{taken}.{n}", 1)])
            tally.add("low", "t0.0", [("outcome:failed", 1), (f"exception:E{taken}.{n}", 1)])
        assert len(tally.take()) <= figures.MOST_NAMES + 1

    totals = tally.totals()
    assert len(totals) == figures.MOST_NAMES + 1
    assert sum(counts["outcome:failed"] for counts in totals.values()) == 12 * figures.MOST_NAMES
    for counts in totals.values():
        types = [figure for figure in counts if figure.startswith("exception:")]
        assert len(types) <= figures.MOST_EXCEPTIONS + 1
    assert sum(sum(c.values()) for c in totals.values()) == 24 * figures.MOST_NAMES


def test_a_tally_gives_each_count_once() -> None:
    tally = Tally()
    tally.add("low", "a", [("outcome:succeeded", 1)])

    assert tally.take() == {("low", "a"): {"outcome:succeeded": 1}}
    assert tally.take() == {}
    assert tally.totals() == {("low", "a"): {"outcome:succeeded": 1}}
