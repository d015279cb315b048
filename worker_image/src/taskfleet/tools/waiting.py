"""Items that wait for their batch: one record for each key, first in, first out.

Whoever adds an item adds it at the end, by one conditional write. Only the holder of the key's lease takes
items away, from the front and after the work, so a process that dies leaves them where they are.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from taskfleet.contract import tools as keys
from taskfleet.tools.table import Table

# DynamoDB's items have 400 KB at most, and an argument has 256 KB: no item is added to so many bytes.
MOST_BYTES = 100_000
KEEP_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True)
class Waiting:
    """What waits under one key, in the order of its arrival. An entry is `entry` of one item."""

    entries: tuple[str, ...] = ()
    size: int = 0

    def has(self, id: str) -> bool:
        """Whether the item of this message is among them."""
        return any(read(entry)[0] == id for entry in self.entries)

    def is_full(self, most: int) -> bool:
        """Whether there is a batch without waiting for more."""
        return len(self.entries) >= most or self.size >= MOST_BYTES


def entry(id: str, item: Any) -> str:
    """The same text for each delivery of a message."""
    return json.dumps([id, item])


def read(written: str) -> tuple[str, Any]:
    """The message's id and the item."""
    id, item = json.loads(written)
    return id, item


class WaitingItems:
    """Of one environment. ``record`` is `taskfleet.contract.tools.batch`. Errors of AWS pass through."""

    def __init__(self, dynamodb: Any, environment: str, clock: Callable[[], float] = time.time) -> None:
        self._table, self._clock = Table(dynamodb, environment), clock

    def add(self, record: str, written: str) -> Waiting | None:
        """What waits now, this at its end. None if there is no room, or it is there already."""
        item = self._table.updated(
            record,
            f"SET #entries = list_append(if_not_exists(#entries, :none), :new), #{keys.EXPIRES} = :expires "
            "ADD #size :size",
            {
                ":none": [],
                ":new": [written],
                ":text": written,
                ":size": len(written.encode()),
                ":most": MOST_BYTES,
                ":expires": int(self._clock()) + KEEP_SECONDS,
            },
            condition="attribute_not_exists(#entries) OR (NOT contains(#entries, :text) AND #size < :most)",
        )
        return None if item is None else _waiting(item)

    def read(self, record: str) -> Waiting:
        """What waits now."""
        return _waiting(self._table.get(record))

    def drop(self, record: str, done: Sequence[str], *, only_if_last: bool) -> bool:
        """Take these from the front; whether they were there, and, if asked, nothing behind them."""
        condition = "#entries[0] = :first" + (" AND size(#entries) = :many" if only_if_last else "")
        # From the last to the first: the places then mean the same if they are removed one by one.
        removed = ", ".join(f"#entries[{place}]" for place in reversed(range(len(done))))
        return self._table.update(
            record,
            f"REMOVE {removed} ADD #size :less",
            {
                ":first": done[0],
                ":many": len(done),
                ":less": -sum(len(each.encode()) for each in done),
            },
            condition=condition,
        )


def _waiting(item: dict[str, Any]) -> Waiting:
    return Waiting(tuple(item.get("entries", ())), int(item.get("size", 0)))
