"""The table of far ETAs: written by whoever publishes, emptied by beat. Errors of AWS pass through."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from taskfleet.contract import etas as keys
from taskfleet.contract import names
from taskfleet.etas.eta import LISTED, Eta, Heading, Item, from_item, heading, revoke_expires

# TransactWriteItems takes 100 items and 4 MB; BatchGetItem 100 keys; BatchWriteItem 25.
MOST_PUTS, MOST_PUT_BYTES = 100, 3_900_000
_MOST_GETS, _MOST_DELETES = 100, 25
# DynamoDB may do a part of a request at a time.
_TRIES = 8
# Requests at once: fewer than a client's connections.
_AT_ONCE = 8
T = TypeVar("T")
NOTHING: Mapping[str, str] = MappingProxyType({})


class Waiting(NamedTuple):
    """How many far ETAs were counted, and whether these are all."""

    number: int
    is_all: bool

    def __str__(self) -> str:
        return f"{self.number:,}" if self.is_all else f"{self.number:,} or more"


class Etas:
    """Of one environment. ``dynamodb`` makes a client, or gives the one there is."""

    def __init__(self, dynamodb: Callable[[], Any], environment: str) -> None:
        self._dynamodb, self._table = dynamodb, names.etas_table(environment)

    # -- what producers and workers do: IAM asks for PutItem alone, also for a transaction ----------

    def put(self, items: Sequence[Item]) -> None:
        """Keep at most `MOST_PUTS` items, all or none; one that is there already is written again.

        A transaction costs twice what BatchWriteItem does, whose permission would let a producer delete
        (DynamoDB guide, "Using IAM with DynamoDB transactions").
        """
        if len(items) == 1:
            self._dynamodb().put_item(TableName=self._table, Item=items[0])
        elif items:
            puts = [{"Put": {"TableName": self._table, "Item": item}} for item in items]
            self._dynamodb().transact_write_items(TransactItems=puts)

    def revoke(self, ids: Iterable[str]) -> None:
        """Have none of these be run whose ETA is still ahead, for as long as one may be."""
        expires = {"N": str(revoke_expires())}
        wanted = sorted(set(ids))
        for at in range(0, len(wanted), MOST_PUTS):
            self.put([{**_revoke(id), keys.EXPIRES: expires} for id in wanted[at : at + MOST_PUTS]])

    def revoke_stamped(self, arguments: Mapping[str, Any]) -> None:
        """The same for those with certain stamps: the arguments of Celery's `revoke_by_stamped_headers`."""
        asked = json.dumps(arguments, sort_keys=True)
        place = hashlib.sha256(asked.encode()).hexdigest()
        key = {keys.SHARD: {"S": keys.STAMPS}, keys.POSITION: {"S": place}}
        self.put([{**key, "asked": {"S": asked}, keys.EXPIRES: {"N": str(revoke_expires())}}])

    # -- what beat does -----------------------------------------------------------------------------

    def due(
        self, shard: str, *, until: float, after: Item | None, limit: int
    ) -> tuple[list[Item], Item | None]:
        """The first items that are due before ``until``, the earliest first, and where the next begin."""
        more = {"ExclusiveStartKey": after} if after else {}
        reply = self._dynamodb().query(**self._before(shard, until), Limit=limit, ConsistentRead=True, **more)
        return reply["Items"], reply.get("LastEvaluatedKey")

    def revoked(self, ids: Iterable[str]) -> set[str]:
        """Those of them that were revoked."""
        wanted = [_revoke(id) for id in set(ids)]
        found = _together(self._get, wanted, _MOST_GETS)
        return {item[keys.POSITION]["S"].removeprefix(keys.revoked("")) for part in found for item in part}

    def stamps(self) -> list[str]:
        """The revokes by stamped headers, as JSON of their arguments."""
        of_stamps = {
            "KeyConditionExpression": "#shard = :shard",
            "ExpressionAttributeNames": {"#shard": keys.SHARD},
            "ExpressionAttributeValues": {":shard": {"S": keys.STAMPS}},
        }
        return [item["asked"]["S"] for item in self._pages(ConsistentRead=True, **of_stamps)]

    def delete(self, found: Sequence[Item]) -> None:
        """Of what a broker has. ``TimeoutError`` if DynamoDB deletes only a part, again and again."""
        _together(self._delete, found, _MOST_DELETES)

    def _delete(self, found: Sequence[Item]) -> None:
        asked: Any = {self._table: [{"DeleteRequest": {"Key": key_of(item)}} for item in found]}
        for _ in range(_TRIES):
            asked = self._dynamodb().batch_write_item(RequestItems=asked).get("UnprocessedItems")
            if not asked:
                return
        raise TimeoutError(f"DynamoDB left some items undeleted {_TRIES} times")

    # -- what the controller and people do ----------------------------------------------------------

    def next_due(self) -> tuple[float, ...]:
        """When the earliest of all is due, in seconds since the epoch; empty if nothing waits."""
        first = [due for shard in keys.shards() if (due := self._first(shard)) is not None]
        return tuple(sorted(first)[:1])

    def _first(self, shard: str) -> float | None:
        asked = self._before(shard, named={"#due": "due"})
        reply = self._dynamodb().query(**asked, Limit=1, ProjectionExpression="#due")
        return float(reply["Items"][0]["due"]["N"]) if reply["Items"] else None

    def count(self) -> Waiting:
        """How many wait. One page of each shard is read, 1 MB."""
        counted, whole = 0, True
        for shard in keys.shards():
            reply = self._dynamodb().query(**self._before(shard), Select="COUNT")
            counted += reply["Count"]
            whole = whole and "LastEvaluatedKey" not in reply
        return Waiting(counted, whole)

    def waiting(self, *, until: float | None = None) -> list[Heading]:
        """All that are due before then, the earliest first. DynamoDB charges for reading all of them."""
        return sorted(
            (
                heading(item)
                for shard in keys.shards()
                for item in self._pages(
                    **self._before(shard, until, named=LISTED), ProjectionExpression=", ".join(LISTED)
                )
            ),
            key=lambda one: (one.due, one.id),
        )

    def find(self, task_id: str) -> list[Eta]:
        """All messages of a task; its shard is read for it."""
        asked = self._before(keys.shard(task_id), named={"#id": "id"})
        asked["ExpressionAttributeValues"][":id"] = {"S": task_id}
        found = self._pages(**asked, FilterExpression="#id = :id", ConsistentRead=True)
        return [from_item(item) for item in found]

    def forget(self, eta: Eta) -> bool:
        """Delete one; whether it was there."""
        reply = self._dynamodb().delete_item(TableName=self._table, Key=eta.key, ReturnValues="ALL_OLD")
        return "Attributes" in reply

    def _before(
        self, shard: str, until: float | None = None, named: Mapping[str, str] = NOTHING
    ) -> dict[str, Any]:
        end = keys.END if until is None else keys.until(until)
        return {
            "TableName": self._table,
            "KeyConditionExpression": "#shard = :shard AND #position < :end",
            "ExpressionAttributeNames": {"#shard": keys.SHARD, "#position": keys.POSITION, **named},
            "ExpressionAttributeValues": {":shard": {"S": shard}, ":end": {"S": end}},
        }

    def _pages(self, **query: Any) -> Iterator[Item]:
        query = {"TableName": self._table, **query}
        for page in self._dynamodb().get_paginator("query").paginate(**query):
            yield from page["Items"]

    def _get(self, wanted: Sequence[Item]) -> list[Item]:
        asked: Any = {self._table: {"Keys": wanted, "ConsistentRead": True}}
        found: list[Item] = []
        for _ in range(_TRIES):
            reply = self._dynamodb().batch_get_item(RequestItems=asked)
            found += reply["Responses"].get(self._table, ())
            asked = reply.get("UnprocessedKeys")
            if not asked:
                return found
        raise TimeoutError(f"DynamoDB left some keys unread {_TRIES} times")


def _together(do: Callable[[Sequence[Item]], T], items: Sequence[Item], most: int) -> list[T]:
    """So many items in each request, and some requests at once: else a wave waits for DynamoDB."""
    parts = [items[at : at + most] for at in range(0, len(items), most)]
    if len(parts) < 2:
        return [do(part) for part in parts]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as threads:
        return list(threads.map(do, parts))


def size(item: Item) -> int:
    """Its bytes, about: DynamoDB counts names and values (guide, "DynamoDB item sizes and formats")."""
    return sum(len(name) + len(next(iter(value.values())).encode()) for name, value in item.items())


def _revoke(task_id: str) -> Item:
    return {keys.SHARD: {"S": keys.shard(task_id)}, keys.POSITION: {"S": keys.revoked(task_id)}}


def key_of(item: Item) -> Item:
    """Of an item, what DynamoDB knows it by."""
    return {name: item[name] for name in (keys.SHARD, keys.POSITION)}
