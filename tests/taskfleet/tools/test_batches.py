"""Batches on real workers: n items or those of t seconds, none lost, and what fails is run alone."""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain
from taskfleet.contract import environment as env
from taskfleet.contract import names
from taskfleet.contract import tools as keys
from taskfleet.publishing.publisher import force_broker
from taskfleet.tools import batch, waiting
from taskfleet.tools.batches import positions
from taskfleet.tools.waiting import MOST_BYTES, WaitingItems, entry

from tests.support.ministack import MiniStack
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet.tools import tasks

Batches = list[dict[str, Any]]


@pytest.fixture
def app(fleet: TinyFleet) -> Celery:
    tasks.app.taskfleet.bind(fleet.settings())
    return tasks.app


def worker(fleet: TinyFleet, **more: str) -> None:
    fleet.start_worker("r1", **{env.APP.name: "tests.taskfleet.tools.tasks:app", **more})


def batches(fleet: TinyFleet) -> Batches:
    return sorted(fleet.events("batch"), key=lambda line: float(line["at"]))


def until(fleet: TinyFleet, many: int) -> Batches:
    """The batches, once they have so many items that are different."""

    def numbers() -> set[int]:
        return {n for line in batches(fleet) for n in line["numbers"]}

    wait_for(lambda: len(numbers()) >= many, seconds=60, what=f"{many} items")
    return batches(fleet)


@pytest.mark.parametrize("broker", [env.PRIMARY, env.FALLBACK])
def test_no_item_is_lost_when_the_process_dies_with_a_batch_that_is_not_full(
    fleet: TinyFleet, app: Celery, tmp_path: Path, broker: str
) -> None:
    worker(fleet, **{env.BROKER.name: broker, env.CONCURRENCY.name: "1"})
    if broker == env.FALLBACK:
        fleet.valkey.kill()
    with force_broker(broker):
        for n in range(13):
            kills = str(tmp_path / "killed") if n == 11 else None
            tasks.indexed.apply_async(({"shop": "a", "n": n, "kills": kills},), task_id=f"id-{n}")
        tasks.indexed.delay({"shop": "b", "n": 99})
    lines = until(fleet, 14)
    assert (tmp_path / "killed").exists()
    of_a = [line for line in lines if line["shop"] == "a"]
    assert [line["numbers"] for line in lines if line["shop"] == "b"] == [[99]]
    assert sorted(itertools.chain(*(line["numbers"] for line in of_a))) == list(range(13))
    assert [len(line["numbers"]) for line in of_a] == [5, 5, 3]
    assert all(line["keys"] == [f"id-{n}" for n in line["numbers"]] for line in of_a)
    if broker == env.PRIMARY:  # SQS keeps no order
        assert [line["numbers"] for line in of_a] == [list(range(5)), list(range(5, 10)), [10, 11, 12]]


def test_an_item_that_fails_is_run_alone_and_the_others_stand(fleet: TinyFleet, app: Celery) -> None:
    worker(fleet, **{env.EXECUTION.name: "threads"})
    for n in range(5):
        tasks.indexed.apply_async(({"shop": "a", "n": n, "fails": n == 3},), task_id=f"id-{n}")
    tasks.indexed.delay({"shop": "b", "n": 10, "raises": True})
    tasks.indexed.delay({"shop": "b", "n": 11})
    wait_for(
        lambda: sum(len(line["numbers"]) for line in batches(fleet)) == 10, seconds=60, what="the last ones"
    )
    wait_for(lambda: fleet.dead_letters("low") == 2, seconds=60, what="what failed alone")
    lines = batches(fleet)
    ran = Counter((line["shop"], *sorted(line["numbers"])) for line in lines)
    assert ran == {("a", 0, 1, 2, 3, 4): 1, ("a", 3): 1, ("b", 10, 11): 1, ("b", 10): 1, ("b", 11): 1}
    assert next(line for line in lines if line["numbers"] == [3])["keys"] == ["id-3"]
    reasons = sorted(letter.reason for letter in fleet.store.headings(["low"]))
    assert "this item failed in its batch, and again alone" in reasons[0]
    assert "one of them" in reasons[1]


def test_items_of_both_brokers_make_one_batch_and_a_duplicate_is_in_it_once(
    fleet: TinyFleet, app: Celery
) -> None:
    for n in range(5):
        with force_broker(env.PRIMARY if n % 2 else env.FALLBACK):
            tasks.indexed.apply_async(({"shop": "a", "n": n},), task_id=f"id-{n}")
    with force_broker(env.FALLBACK):
        tasks.indexed.apply_async(({"shop": "a", "n": 1},), task_id="id-1")
    worker(fleet, **{env.EXECUTION.name: "threads"})
    worker(fleet, **{env.EXECUTION.name: "threads", env.BROKER.name: env.FALLBACK})
    lines = until(fleet, 5)
    assert all(len(set(line["numbers"])) == len(line["numbers"]) for line in lines)


def test_what_can_not_be_batched_ends_as_a_dead_letter_that_says_why(fleet: TinyFleet, app: Celery) -> None:
    worker(fleet, **{env.EXECUTION.name: "threads"})
    chain(tasks.indexed.s({"shop": "a", "n": 1}), tasks.small.si(1)).apply_async()
    tasks.indexed.delay("no object")
    wait_for(lambda: fleet.dead_letters("low") == 2, seconds=60, what="both letters")
    first, second = sorted(letter.reason for letter in fleet.store.headings(["low"]))
    assert "nothing can follow one item" in first
    assert "an item is an object with shop" in second


@pytest.fixture
def items(aws: MiniStack) -> Iterator[WaitingItems]:
    environment, dynamodb = f"t{uuid.uuid4().hex[:8]}", aws.client("dynamodb")
    dynamodb.create_table(
        TableName=names.tools_table(environment),
        KeySchema=[{"AttributeName": keys.KEY, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": keys.KEY, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield WaitingItems(dynamodb, environment)
    dynamodb.delete_table(TableName=names.tools_table(environment))


def test_items_wait_in_order_each_once_and_leave_from_the_front(items: WaitingItems) -> None:
    entries = [entry(f"id-{n}", {"n": n}) for n in range(4)]
    for n, each in enumerate(entries):
        now = items.add("r", each)
        assert now is not None
        assert now.entries == tuple(entries[: n + 1])
        assert now.size == sum(map(len, entries[: n + 1]))
    assert items.add("r", entries[1]) is None, "it is there already"
    assert not items.drop("r", entries[1:3], only_if_last=False), "not from the middle"
    assert not items.drop("r", entries[:2], only_if_last=True), "more came behind them"
    assert items.drop("r", entries[:2], only_if_last=False)
    assert not items.drop("r", entries[:2], only_if_last=False)
    assert items.read("r").entries == tuple(entries[2:])
    assert items.drop("r", entries[2:], only_if_last=True)
    assert items.read("r") == waiting.Waiting()


def test_there_is_room_for_so_many_bytes(items: WaitingItems) -> None:
    large = entry("large", "x" * MOST_BYTES)
    assert items.add("r", large) is not None
    assert items.read("r").is_full(100)
    assert items.add("r", entry("small", 1)) is None
    assert items.drop("r", [large], only_if_last=True)
    assert items.add("r", entry("small", 1)) is not None


@pytest.mark.parametrize(
    ("returned", "failed"), [(None, []), ([], []), ([2, 0, 2], [0, 2]), ((1,), [1]), ({0}, [0])]
)
def test_a_batch_returns_the_positions_of_what_failed(returned: Any, failed: list[int]) -> None:
    assert positions(returned, 3) == failed


@pytest.mark.parametrize("returned", [[3], [-1], ["a"], [True], 7, "no"])
def test_what_is_no_position_is_refused(returned: Any) -> None:
    with pytest.raises(TypeError, match="the positions of those of its 3 items that failed"):
        positions(returned, 3)


def test_a_plain_call_has_a_batch_of_one() -> None:
    seen: list[Any] = []

    @batch(10, seconds=1)
    def add(items: list[Any]) -> None:
        seen.extend(items)

    add({"n": 1})
    add(items={"n": 2})
    assert seen == [{"n": 1}, {"n": 2}]
    with pytest.raises(ValueError, match="2 to 200 items"):
        batch(1, seconds=1)
