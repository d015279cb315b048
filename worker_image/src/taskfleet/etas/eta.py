"""A task that waits for its ETA, and which release it goes to when that comes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kombu.utils.json import dumps, loads

from taskfleet.contract import etas as keys

Item = dict[str, Any]


class Binding(StrEnum):
    """Whose task it is: what that is bound to."""

    CURRENT = "current"  # its producer follows the pointer: the release that is current then
    RELEASE = "release"  # a task of a release published it: that one, or the current one if it takes no task
    PINNED = "pinned"  # its producer named the release: that one, or it becomes a dead letter


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What a list shows. ``queue`` is logical; ``release`` is None of what goes to the current one.

    ``due`` and ``at``, when it was published, are in seconds since the epoch.
    """

    due: float
    id: str
    task: str
    queue: str
    binding: Binding
    release: str | None
    at: float


@dataclass(frozen=True, kw_only=True)
class Eta(Heading):
    """Everything. ``body`` is the task's arguments as JSON; the other two are those of the publish."""

    headers: dict[str, Any]
    options: dict[str, Any]
    body: str

    @property
    def key(self) -> Item:
        """Of its item."""
        where = keys.position(self.due, self.id, f"{self.task} {self.queue} {self.release} {self.body}")
        return {keys.SHARD: {"S": keys.shard(self.id)}, keys.POSITION: {"S": where}}

    @property
    def position(self) -> str:
        """Its place in its shard, which no other message has."""
        return str(self.key[keys.POSITION]["S"])


_TEXTS = ("id", "task", "queue", "binding", "release", "body")
# Of an item, what a `Heading` needs; some are reserved words of DynamoDB's expressions.
LISTED = {"#due": "due", "#id": "id", "#task": "task", "#queue": "queue", "#binding": "binding"}
LISTED |= {"#release": "release", "#at": "at"}


def to_item(eta: Eta) -> Item:
    """Raises ``TypeError`` or ``ValueError`` for what is not JSON."""
    texts = {name: {"S": value} for name in _TEXTS if (value := getattr(eta, name)) is not None}
    return {
        **eta.key,
        **texts,
        "due": {"N": f"{eta.due:.3f}"},
        "at": {"N": f"{eta.at:.3f}"},
        "headers": {"S": dumps(eta.headers)},
        "options": {"S": dumps(eta.options)},
    }


def heading(item: Item) -> Heading:
    """Of an item, or of what a list has of it. Raises ``KeyError`` or ``ValueError`` for any other."""
    return Heading(**_heading(item))


def from_item(item: Item) -> Eta:
    """What `to_item` wrote. Raises ``KeyError`` or ``ValueError`` for any other."""
    return Eta(
        **_heading(item),
        headers=loads(item["headers"]["S"]),
        options=loads(item["options"]["S"]),
        body=item["body"]["S"],
    )


def _heading(item: Item) -> dict[str, Any]:
    return {
        "due": float(item["due"]["N"]),
        "at": float(item["at"]["N"]),
        "id": item["id"]["S"],
        "task": item["task"]["S"],
        "queue": item["queue"]["S"],
        "binding": Binding(item["binding"]["S"]),
        "release": item.get("release", {}).get("S"),
    }


def stamp_matches(asked: str, headers: Mapping[str, Any]) -> bool:
    """Whether a revoke by stamped headers is of this task, as Celery's worker says it.

    ``asked`` is the JSON of its arguments (`taskfleet.revokes`).
    """
    stamps = headers.get("stamps")
    wanted = json.loads(asked).get("headers")
    if not isinstance(stamps, Mapping) or not isinstance(wanted, Mapping):
        return False
    return any(set(_several(stamps.get(name))) & set(_several(value)) for name, value in wanted.items())


def _several(value: Any) -> list[str]:
    each = value if isinstance(value, list | tuple) else [] if value is None else [value]
    return [str(one) for one in each]


def revoke_expires(now: float | None = None) -> int:
    """When a revoke of a task that may wait is forgotten: no ETA that was taken before it is ahead then."""
    day = 24 * 3600
    return int((time.time() if now is None else now) + keys.FARTHEST_SECONDS + day)
