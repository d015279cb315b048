"""What the state table has of the builds of a release that is rolled: signatures, and who was refused."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any

from taskfleet import signatures
from taskfleet.contract import state as keys
from taskfleet.releases.items import Item, plain, wire


@dataclass(frozen=True)
class Build:
    """One build, and the signatures of its tasks. ``at``: when a worker of it wrote this, epoch seconds."""

    build: str
    at: float
    tasks: signatures.Signatures


@dataclass(frozen=True)
class Refused:
    """A build whose workers refused to start, and why."""

    build: str
    at: float
    breaks: tuple[str, ...]


def read(dynamodb: Any, table: str, key: str) -> Build | None:
    """One of the items of `state.signatures`. Errors of AWS pass through; ``ValueError`` for no such item."""
    item = _get(dynamodb, table, key)
    return None if item is None else from_item(item)


def from_item(item: Item) -> Build:
    """From plain values. ``ValueError`` if they are none of a build."""
    tasks = json.loads(zlib.decompress(bytes(item["tasks"])))
    return Build(item["build"], float(item["at"]), signatures.from_plain(tasks))


def to_item(key: str, build: Build) -> Item:
    """Plain values. Zipped: an item holds 400 KB, which is some ten thousand tasks."""
    tasks = zlib.compress(json.dumps(signatures.to_plain(build.tasks), separators=(",", ":")).encode())
    return {keys.KEY: key, "build": build.build, "at": build.at, "tasks": tasks}


def write(dynamodb: Any, table: str, key: str, build: Build) -> None:
    """Write it. Errors of AWS pass through."""
    dynamodb.put_item(TableName=table, Item=wire(to_item(key, build)))


def read_refused(dynamodb: Any, table: str, release: str) -> Refused | None:
    """The last one of a release."""
    item = _get(dynamodb, table, keys.refused_build(release))
    return None if item is None else Refused(item["build"], float(item["at"]), tuple(item["breaks"]))


def write_refused(dynamodb: Any, table: str, release: str, refused: Refused) -> None:
    """In place of the one before."""
    item = {keys.KEY: keys.refused_build(release), **vars(refused), "breaks": list(refused.breaks)}
    dynamodb.put_item(TableName=table, Item=wire(item))


def _get(dynamodb: Any, table: str, key: str) -> Item | None:
    reply = dynamodb.get_item(TableName=table, Key=wire({keys.KEY: key}), ConsistentRead=True)
    return plain(reply["Item"]) if "Item" in reply else None
