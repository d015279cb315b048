"""Revokes that last: kept in the state table for a week, so that they outlive an outage and a worker.

Celery tells the workers that listen at that moment, over Redis. A worker that fetches from SQS, one that
starts later, and everybody while Redis is away would not know. DynamoDB is the store because it answers when
Redis does not, and every worker reaches it. Ten minutes of revokes are one item, of 400 KB at most (some
3,000, or ten thousand ids if each call names many); workers read the newest two every few seconds, and at
their start all of a week. DynamoDB deletes them later (`state.EXPIRES`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from taskfleet.contract import names, state

KEEP_SECONDS = 7 * 24 * 3600
SLOT_SECONDS = 600
# An item has 400 KB. So many ids in one entry leave room for others.
MOST_IDS = 1000
_PAGE = 100
# DynamoDB may answer a part of a page at a time, or nothing of it while it throttles.
_TRIES = 5


class Revokes:
    """Of one environment. Errors of AWS pass through as they are.

    ``TimeoutError`` if DynamoDB answers only in part, again and again.
    """

    def __init__(self, dynamodb: Any, environment: str, clock: Callable[[], float] = time.time) -> None:
        self._dynamodb, self._table, self._clock = dynamodb, names.state_table(environment), clock

    def add(self, command: str, arguments: dict[str, Any]) -> None:
        """Keep one: ``command`` is Celery's, `revoke` or `revoke_by_stamped_headers`."""
        slot = self._slot()
        for part in _parts(arguments):
            self._dynamodb.update_item(
                TableName=self._table,
                Key={state.KEY: {"S": state.revokes(slot)}},
                UpdateExpression=f"SET {state.EXPIRES} = :expires ADD asked :asked",
                ExpressionAttributeValues={
                    ":asked": {"SS": [json.dumps([command, part], sort_keys=True)]},
                    ":expires": {"N": str((slot + 2) * SLOT_SECONDS + KEEP_SECONDS)},
                },
            )

    def all(self) -> set[str]:
        """What was asked for within `KEEP_SECONDS`, each as the JSON of its command and arguments."""
        return self._read(KEEP_SECONDS // SLOT_SECONDS)

    def newest(self) -> set[str]:
        """What was asked for within the last ten minutes, and some of before."""
        return self._read(1)

    def _slot(self) -> int:
        return int(self._clock() // SLOT_SECONDS)

    def _read(self, back: int) -> set[str]:
        now = self._slot()
        keys = [{state.KEY: {"S": state.revokes(slot)}} for slot in range(now - back, now + 1)]
        return {entry for at in range(0, len(keys), _PAGE) for entry in self._page(keys[at : at + _PAGE])}

    def _page(self, keys: list[dict[str, Any]]) -> Iterator[str]:
        wanted: Any = {self._table: {"Keys": keys, "ConsistentRead": True}}
        for _ in range(_TRIES):
            reply = self._dynamodb.batch_get_item(RequestItems=wanted)
            for item in reply["Responses"].get(self._table, ()):
                yield from item.get("asked", {}).get("SS", ())
            wanted = reply.get("UnprocessedKeys")
            if not wanted:
                return
        raise TimeoutError(f"DynamoDB left some keys of a page unread {_TRIES} times")


def _parts(arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    ids = arguments.get("task_id")
    if not isinstance(ids, list | tuple | set):
        yield arguments
        return
    several = list(ids)
    for at in range(0, len(several), MOST_IDS):
        yield {**arguments, "task_id": several[at : at + MOST_IDS]}
