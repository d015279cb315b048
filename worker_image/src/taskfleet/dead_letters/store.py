"""The dead-letter store: one DynamoDB table for each environment."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from taskfleet.contract import dead_letters as keys
from taskfleet.contract import names
from taskfleet.dead_letters import items
from taskfleet.dead_letters.dead_letter import DeadLetter, DeadLetterKind, Heading
from taskfleet.releases.items import wire

# Counting reads the index, and is paid for by what it reads: more than this is "very many".
MOST_COUNTED = 10_000
_AFTER_ALL = "~"  # greater than any position
_PAGE = 100


class DeadLetters:
    """Reads and writes of one environment's table. Errors of AWS pass through as they are."""

    def __init__(self, dynamodb: Any, environment: str) -> None:
        self._dynamodb = dynamodb
        self._table = names.dead_letters_table(environment)

    def put(self, letter: DeadLetter) -> None:
        """Keep a letter, whatever its size. Doing it again with the same letter changes nothing."""
        for item in items.from_letter(letter):
            self._dynamodb.put_item(TableName=self._table, Item=item)

    def get(self, letter_id: str) -> DeadLetter | None:
        """The whole letter; None if there is none of that id. Raises `taskfleet.errors.DeadLetterError`."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression=f"{keys.ID} = :id",
            ExpressionAttributeValues=wire({":id": letter_id}),
            ConsistentRead=True,
        )
        found = list(chain.from_iterable(page["Items"] for page in pages))
        # Pieces alone are those of a letter that is being written or was deleted.
        whole = found and found[0][keys.PART] == {"N": str(keys.LETTER)} and not items.is_withdrawn(found[0])
        return items.to_letter(found) if whole else None

    def withdraw(self, letter_id: str) -> None:
        """Have no letter of that id: for a worker, which may write letters and delete none."""
        self._dynamodb.put_item(TableName=self._table, Item=items.withdrawn(letter_id, at=time.time()))

    def delete(self, letter_id: str) -> bool:
        """Delete a letter; whether there was one. The letter goes first, so nobody sees half of it."""
        key = {keys.ID: letter_id, keys.PART: keys.LETTER}
        old = self._dynamodb.delete_item(TableName=self._table, Key=wire(key), ReturnValues="ALL_OLD")
        head = old.get("Attributes")
        for part in range(int(head["pieces"]["N"]) if head else 0):
            self._dynamodb.delete_item(
                TableName=self._table, Key=wire({keys.ID: letter_id, keys.PART: part + 1})
            )
        return head is not None

    def headings(
        self,
        queues: Iterable[str],
        *,
        task: str | None = None,
        kind: DeadLetterKind | None = None,
        before: str | None = None,
    ) -> Iterator[Heading]:
        """The letters of these logical queues, the newest first, read as they are asked for.

        ``before`` is a letter's `position`: only older ones.
        """
        each = [self._of_queue(queue, task, kind, before or _AFTER_ALL) for queue in sorted(set(queues))]
        return heapq.merge(*each, key=position, reverse=True)

    def _of_queue(
        self, queue: str, task: str | None, kind: DeadLetterKind | None, before: str
    ) -> Iterator[Heading]:
        wanted = {name: value for name, value in (("task", task), ("kind", kind)) if value is not None}
        request = self._in_queue(queue, before)
        request["ExpressionAttributeValues"] |= wire(
            {f":{name}": str(value) for name, value in wanted.items()}
        )
        if wanted:
            request["ExpressionAttributeNames"] |= {f"#{name}": name for name in wanted}
            request["FilterExpression"] = " AND ".join(f"#{name} = :{name}" for name in wanted)
        pages = self._dynamodb.get_paginator("query").paginate(
            **request, ScanIndexForward=False, PaginationConfig={"PageSize": _PAGE}
        )
        found = (items.to_heading(item) for page in pages for item in page["Items"])
        return (heading for heading in found if position(heading) < before)

    def counts(self, queues: Iterable[str], *, since: float = 0.0) -> dict[str, int]:
        """Letters by logical queue, put aside ``since`` then; `MOST_COUNTED` means that many or more."""
        return {queue: self._count(queue, since) for queue in queues}

    def _count(self, queue: str, since: float) -> int:
        request, count = self._in_queue(queue, _AFTER_ALL, since=since), 0
        while count < MOST_COUNTED:
            reply = self._dynamodb.query(**request, Select="COUNT", Limit=MOST_COUNTED - count)
            count += reply["Count"]
            if "LastEvaluatedKey" not in reply:
                break
            request["ExclusiveStartKey"] = reply["LastEvaluatedKey"]
        return count

    def _in_queue(self, queue: str, before: str, *, since: float = 0.0) -> dict[str, Any]:
        """What has expired is not read: DynamoDB may take two days to delete it."""
        oldest = keys.position(max(since, time.time() - keys.KEEP_SECONDS), "")
        return {
            "TableName": self._table,
            "IndexName": keys.INDEX,
            "KeyConditionExpression": "#queue = :queue AND #parked BETWEEN :oldest AND :before",
            "ExpressionAttributeNames": {"#queue": keys.QUEUE, "#parked": keys.PARKED},
            "ExpressionAttributeValues": wire({":queue": queue, ":oldest": oldest, ":before": before}),
        }


def position(heading: Heading) -> str:
    """Where a letter stands in the list."""
    return keys.position(heading.at, heading.id)
