"""The store on a real table: order, filters, places to go on from, sizes, expiry."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import asdict
from itertools import islice
from typing import Any

import pytest
from taskfleet.contract import dead_letters as keys
from taskfleet.contract import names
from taskfleet.contract.limits import DYNAMODB_MAX_ITEM_BYTES
from taskfleet.dead_letters import items, store
from taskfleet.dead_letters.dead_letter import DeadLetter, DeadLetterKind, Message
from taskfleet.dead_letters.store import DeadLetters
from taskfleet.errors import DeadLetterError
from taskfleet.testing import base

from tests.support.ministack import MiniStack

QUEUES = ("high", "low")
NOW = round(time.time(), 3)


def letter(*, at: float = NOW, body: bytes = b"[[1], {}, {}]", **changes: Any) -> DeadLetter:
    known: dict[str, Any] = {
        "queue": "low",
        "task": "shop.order",
        "task_id": "a-task",
        "release": "r1",
        "pool": "low",
        "kind": DeadLetterKind.FAILED,
        "reason": "failed: KeyError: 1",
        "exception": "KeyError: 1",
        "traceback": "Traceback …",
        "args": "1",
    }
    known |= changes
    message = Message(
        headers={"task": known["task"], "id": known["task_id"], "retries": 2, "eta": None},
        properties={"priority": 3},
        content_type="application/json",
        content_encoding="utf-8",
        body=body,
    )
    return DeadLetter(at=at, message=message, **known)


class Table:
    """A table of its own."""

    def __init__(self, aws: MiniStack) -> None:
        self.environment = f"t{uuid.uuid4().hex[:8]}"
        self.dynamodb = aws.client("dynamodb")
        base.create_dead_letters(self.dynamodb, self.environment)
        self.store = DeadLetters(self.dynamodb, self.environment)

    def raw(self) -> list[dict[str, Any]]:
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=names.dead_letters_table(self.environment)
        )
        return [item for page in pages for item in page["Items"]]


@pytest.fixture
def table(aws: MiniStack) -> Table:
    return Table(aws)


@pytest.mark.parametrize("size", [0, 100, 350_000, 1_100_000, 5_000_000])
def test_a_letter_of_any_size_comes_back_as_it_was(table: Table, size: int) -> None:
    kept = letter(body=os.urandom(size))

    table.store.put(kept)
    table.store.put(kept)

    assert table.store.get(kept.id) == kept
    assert table.store.counts(QUEUES) == {"high": 0, "low": 1}


def test_no_item_is_larger_than_dynamodb_takes() -> None:
    long = "é" * 100_000
    kept = letter(body=b"x" * 2_000_000, reason=long, exception=long, traceback=long, args=long, task=long)

    sizes = [sum(map(_size, item.items())) for item in items.from_letter(kept)]

    assert max(sizes) < DYNAMODB_MAX_ITEM_BYTES
    assert len(sizes) > 5


def _size(attribute: tuple[str, dict[str, Any]]) -> int:
    """DynamoDB's own count: the name and the value, a number as 21 bytes at most."""
    name, ((kind, value),) = attribute[0], attribute[1].items()
    return len(name) + (len(value) if kind == "B" else 21 if kind == "N" else len(str(value).encode()))


def test_a_text_that_is_too_long_keeps_both_ends(table: Table) -> None:
    table.store.put(kept := letter(traceback="first line" + "." * 50_000 + "KeyError: the end"))

    found = table.store.get(kept.id)

    assert found is not None
    assert found.traceback is not None
    assert found.traceback.startswith("first line")
    assert found.traceback.endswith("KeyError: the end")


def test_the_newest_come_first_over_all_queues_and_a_list_goes_on_where_it_ended(table: Table) -> None:
    sent = [letter(at=NOW - n // 2, queue=QUEUES[n % 2], task_id=str(n)) for n in range(9)]
    for each in sent:
        table.store.put(each)

    everything = list(table.store.headings(QUEUES))
    first = list(islice(table.store.headings(QUEUES), 4))
    rest = list(table.store.headings(QUEUES, before=store.position(first[-1])))

    assert [each.at for each in everything] == sorted((each.at for each in sent), reverse=True)
    assert {each.id for each in everything} == {each.id for each in sent}
    assert first + rest == everything
    listed = asdict(everything[0])
    whole = asdict(next(each for each in sent if each.id == everything[0].id))
    assert listed == {name: whole[name] for name in listed}


def test_filters(table: Table) -> None:
    table.store.put(failed := letter())
    table.store.put(other := letter(task="shop.refund", at=NOW - 1))
    table.store.put(
        unknown := letter(kind=DeadLetterKind.NOT_A_MESSAGE, task=None, task_id=None, queue="high")
    )

    def ids(*queues: str, **which: Any) -> set[str]:
        return {heading.id for heading in table.store.headings(queues or QUEUES, **which)}

    assert ids() == {failed.id, other.id, unknown.id}
    assert ids("low") == {failed.id, other.id}
    assert ids(task="shop.refund") == {other.id}
    assert ids(kind=DeadLetterKind.NOT_A_MESSAGE) == {unknown.id}
    assert ids(kind=DeadLetterKind.FAILED, task="shop.order") == {failed.id}
    assert ids("high", kind=DeadLetterKind.FAILED) == set()


def test_delete_leaves_nothing_of_a_large_letter(table: Table) -> None:
    table.store.put(kept := letter(body=b"x" * 1_000_000))
    assert len(table.raw()) > 3

    assert table.store.delete(kept.id) is True

    assert table.store.delete(kept.id) is False
    assert table.store.get(kept.id) is None
    assert table.raw() == []


def test_a_letter_that_is_withdrawn_is_seen_no_more(table: Table) -> None:
    table.store.put(kept := letter(body=b"x" * 1_000_000))
    table.store.withdraw(kept.id)
    assert table.store.get(kept.id) is None
    assert list(table.store.headings(["low"])) == []
    assert table.store.counts(["low"]) == {"low": 0}


def test_what_has_expired_is_not_listed_and_the_table_forgets_it(table: Table) -> None:
    table.store.put(letter(at=NOW - keys.KEEP_SECONDS - 3600))
    table.store.put(fresh := letter(at=NOW - keys.KEEP_SECONDS + 3600))

    assert [each.id for each in table.store.headings(QUEUES)] == [fresh.id]
    assert table.store.counts(["low"]) == {"low": 1}
    assert {int(item[keys.EXPIRES]["N"]) - int(NOW) for item in table.raw()} == {-3600, 3600}


def test_counting_ends_at_its_limit(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_COUNTED", 3)
    for n in range(5):
        table.store.put(letter(at=NOW - n))

    assert table.store.counts(["low"]) == {"low": 3}


def test_a_letter_with_a_piece_missing_says_so(table: Table) -> None:
    table.store.put(kept := letter(body=b"x" * 1_000_000))
    key = items.wire({keys.ID: kept.id, keys.PART: 2})  # type: ignore[attr-defined]
    table.dynamodb.delete_item(TableName=names.dead_letters_table(table.environment), Key=key)

    with pytest.raises(DeadLetterError, match=f"letter {kept.id} is not whole"):
        table.store.get(kept.id)


def test_pieces_without_their_letter_are_no_letter(table: Table) -> None:
    """As a put leaves them that ends between two items."""
    kept = letter(body=b"x" * 1_000_000)
    *pieces, _ = items.from_letter(kept)
    for item in pieces:
        table.dynamodb.put_item(TableName=names.dead_letters_table(table.environment), Item=item)

    assert table.store.get(kept.id) is None
    assert list(table.store.headings(QUEUES)) == []
