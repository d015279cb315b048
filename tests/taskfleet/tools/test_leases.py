"""Who may hold a key: the rule, and the same rule on a table that many write to at once."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from taskfleet.contract import names
from taskfleet.contract import tools as keys
from taskfleet.tools.leases import SKEW_SECONDS, Contended, Done, Item, Lease, Leases

from tests.support.ministack import MiniStack

PAGE = Path(__file__).parents[3] / "docs" / "toolkit.md"
NOW = 1_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("holders", "most", "taken"),
    [
        ({}, 1, True),
        ({"other": NOW + 10}, 1, False),
        ({"other": NOW + 10}, 2, True),
        ({"other": NOW - 1}, 1, False),  # its clock may be behind
        ({"other": NOW - SKEW_SECONDS - 1}, 1, True),
        ({"other": NOW + 10, "third": NOW - 60}, 2, True),
        ({"other": NOW + 10, "third": NOW + 60}, 2, False),
    ],
)
def test_a_lease_is_given_while_there_is_room(holders: dict[str, float], most: int, taken: bool) -> None:
    after = Item(version=3, fence=7, holders=holders).taken("me", most=most, now=NOW, until=NOW + 30)
    assert (after is not None) is taken
    if after is not None:
        assert after.version == 4
        assert after.fence > 7
        assert after.holders["me"] == NOW + 30
        assert all(end > NOW - SKEW_SECONDS for end in after.holders.values())


def test_a_fencing_token_grows_though_its_item_is_gone_or_a_clock_went_back() -> None:
    first = Item().taken("a", most=1, now=NOW, until=NOW + 1)
    assert first is not None
    again = Item().taken("b", most=1, now=NOW + 1, until=NOW + 2)
    back = Item(fence=first.fence).taken("b", most=1, now=NOW - 100, until=NOW)
    assert again is not None
    assert back is not None
    assert again.fence > first.fence
    assert back.fence > first.fence


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def leases(aws: MiniStack, clock: Clock) -> Iterator[Leases]:
    environment, dynamodb = f"t{uuid.uuid4().hex[:8]}", aws.client("dynamodb")
    dynamodb.create_table(
        TableName=names.tools_table(environment),
        KeySchema=[{"AttributeName": keys.KEY, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": keys.KEY, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield Leases(dynamodb, environment, clock)
    dynamodb.delete_table(TableName=names.tools_table(environment))


def take(leases: Leases, key: str = "k", most: int = 1, seconds: float = 30) -> Lease:
    lease = leases.take(key, most=most, seconds=seconds)
    assert isinstance(lease, Lease)
    return lease


def test_it_is_held_until_it_is_freed(leases: Leases) -> None:
    lease = take(leases)
    assert leases.take("k", most=1, seconds=30) is None
    take(leases, "another key")
    assert leases.free(lease)
    assert not leases.free(lease)
    assert take(leases).fence > lease.fence


def test_it_lasts_as_long_as_it_is_renewed_and_no_longer(leases: Leases, clock: Clock) -> None:
    lease = take(leases)
    clock.now += 29
    assert leases.renew(lease, 30)
    clock.now += 29
    assert leases.take("k", most=1, seconds=30) is None
    clock.now += 1 + SKEW_SECONDS + 0.1
    take(leases)
    assert not leases.renew(lease, 30), "another has it"
    assert not leases.free(lease)
    assert leases.take("k", most=1, seconds=30) is None


def test_of_many_at_once_only_so_many_get_it(leases: Leases) -> None:
    def attempt(_n: int) -> bool:
        try:
            return isinstance(leases.take("k", most=3, seconds=30), Lease)
        except Contended:
            return False

    with ThreadPoolExecutor(12) as threads:
        got = list(threads.map(attempt, range(24)))
    assert 1 <= sum(got) <= 3
    assert sum(isinstance(leases.take("k", most=3, seconds=30), Lease) for _ in range(4)) == 3 - sum(got)


@pytest.mark.parametrize("end", ["free", "finish"])
def test_a_use_costs_what_the_documentation_says(leases: Leases, aws: MiniStack, end: str) -> None:
    calls: Counter[str] = Counter()
    events = leases._table._dynamodb.meta.events
    events.register("provide-client-params.dynamodb.*", lambda model, **_: calls.update([model.name]))
    lease = take(leases)
    if end == "free":
        leases.free(lease)
    else:
        leases.finish(lease, "1", keep_seconds=60)
    assert calls == {"GetItem": 1, "PutItem": 1, "UpdateItem": 1}
    assert PAGE.read_text().count("| one read and two writes of DynamoDB |") == 3


def test_a_result_is_kept_for_its_time_and_the_first_one_counts(leases: Leases, clock: Clock) -> None:
    lease = take(leases)
    assert leases.finish(lease, '"one"', keep_seconds=100)
    assert leases.finish(lease, '"two"', keep_seconds=100)
    assert leases.take("k", most=1, seconds=30) == Done('"one"')
    clock.now += 101
    take(leases)
