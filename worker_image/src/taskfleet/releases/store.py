"""The state table: every write names the version that it read, so that of two racing writers one wins."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from taskfleet.contract import names, parameters
from taskfleet.contract import state as keys
from taskfleet.errors import ReleaseError
from taskfleet.releases import builds, items
from taskfleet.releases.model import Pointer, Record
from taskfleet.releases.observation import Check, Verdict
from taskfleet.scaling.holds import Holds, from_holds, to_holds

NO_POINTER = Pointer(release=parameters.NO_RELEASE, version=0)
_RELEASE_PREFIX = keys.release("")
_KEYS_PER_READ = 100  # BatchGetItem
NO_HOLDS = Holds()
_READS = 5  # tries until nothing is left unprocessed


class Conflict(ReleaseError):
    """Somebody else changed the same record since it was read. Nothing was written: look again."""


@dataclass(frozen=True)
class Snapshot:
    """What the table says. ``beat_at`` is None before beat's first tick."""

    records: dict[str, Record]
    pointer: Pointer
    proofs: dict[str, float]
    beat_at: float | None
    holds: Holds = NO_HOLDS
    checks: dict[str, tuple[Check, ...]] = field(default_factory=dict)  # release → the team's own
    verdicts: dict[str, Verdict] = field(default_factory=dict)  # key of a check → how far it is


class Store:
    """Reads and writes of one environment's table. Errors of AWS pass through as they are."""

    def __init__(self, dynamodb: Any, environment: str) -> None:
        self._dynamodb = dynamodb
        self._table = names.state_table(environment)

    def scan(self) -> Snapshot:
        """Everything that there is, retired releases included. Reads the whole table."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True)
        return _snapshot(items.plain(item) for page in pages for item in page["Items"])

    def read(self, releases: Iterable[str], gates: Iterable[str] = ()) -> Snapshot:
        """The pointer, beat's tick, what people hold, these releases and proofs: what a look needs."""
        wanted = [keys.POINTER, keys.BEAT, keys.HOLDS, *sorted(map(keys.release, releases)), *sorted(gates)]
        return _snapshot(self._get(wanted))

    def _get(self, wanted: list[str]) -> Iterator[items.Item]:
        for start in range(0, len(wanted), _KEYS_PER_READ):
            chunk = [items.wire({keys.KEY: key}) for key in wanted[start : start + _KEYS_PER_READ]]
            request: dict[str, Any] = {self._table: {"Keys": chunk, "ConsistentRead": True}}
            for _ in range(_READS):
                reply = self._dynamodb.batch_get_item(RequestItems=request)
                yield from map(items.plain, reply["Responses"].get(self._table, []))
                request = reply.get("UnprocessedKeys") or {}
                if not request:
                    break
            else:
                raise ReleaseError(f"DynamoDB is throttling reads of {self._table}: look again in a minute")

    def create(self, record: Record) -> None:
        """Write a release's first record. `Conflict` if it has one already."""
        with _conflicts(f"release {record.release} was registered by somebody else"):
            self._dynamodb.put_item(**self._put(items.from_record(record), version=0))

    def save(self, record: Record) -> None:
        """Write a record over the version before it. `Conflict` if that is no longer what is there."""
        with _conflicts(f"release {record.release} was changed by somebody else"):
            self._dynamodb.put_item(**self._put(items.from_record(record), version=record.version - 1))

    def promote(self, pointer: Pointer, *records: Record) -> None:
        """Move the pointer and these releases' records, all or none. `Conflict` if one has changed."""
        writes = [
            {"Put": self._put(items.from_pointer(pointer), version=pointer.version - 1)},
            *({"Put": self._put(items.from_record(each), version=each.version - 1)} for each in records),
        ]
        named = " or ".join(each.release for each in records)
        with _conflicts(f"the pointer or release {named} was changed by somebody else"):
            self._dynamodb.transact_write_items(TransactItems=writes)

    def hold(self, holds: Holds) -> None:
        """Write what people hold over the version before it. `Conflict` if that is no longer there."""
        with _conflicts("what is held by `fleet scale` was changed by somebody else"):
            self._dynamodb.put_item(**self._put(from_holds(holds), version=holds.version - 1))

    def _put(self, item: items.Item, *, version: int) -> dict[str, Any]:
        """A put that only succeeds over this version; 0 is "nothing there"."""
        request = {"TableName": self._table, "Item": items.wire(item)}
        if version == 0:
            return {**request, "ConditionExpression": f"attribute_not_exists({keys.KEY})"}
        return {
            **request,
            "ConditionExpression": "version = :read",
            "ExpressionAttributeValues": items.wire({":read": version}),
        }

    def keep_signatures(self, release: str, build: str) -> None:
        """Those of the build whose workers have run its gate. `ReleaseError` if they did not leave any."""
        found = [builds.from_item(item) for item in self._get([keys.newest_signatures(release)])]
        if not found or found[0].build != build:
            raise ReleaseError(f"the workers of build {build} left no signatures of their tasks: look again")
        builds.write(self._dynamodb, self._table, keys.signatures(release), found[0])

    def keep_no_signatures(self, release: str) -> None:
        """Nothing is left of a release that has retired: the next build of its id need take nothing of it."""
        key = keys.signatures(release)
        builds.write(self._dynamodb, self._table, key, builds.Build(build="", at=time.time(), tasks={}))

    def refused_build(self, release: str) -> builds.Refused | None:
        """The last build of a release that was refused for its signatures."""
        return builds.read_refused(self._dynamodb, self._table, release)

    def write_look(self, look: str, *, at: float) -> None:
        """Keep the controller's last look, JSON."""
        item = {keys.KEY: keys.LOOK, "look": look, "at": at}
        self._dynamodb.put_item(TableName=self._table, Item=items.wire(item))

    def read_look(self) -> tuple[str, float] | None:
        """The last look and when it was taken; None before the first."""
        key = items.wire({keys.KEY: keys.LOOK})
        item = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        if item is None:
            return None
        plain = items.plain(item)
        return plain["look"], float(plain["at"])

    def write_hour(self, hour: str) -> None:
        """Keep what tasks experienced in the last hour, JSON."""
        item = {keys.KEY: keys.HOUR, "hour": hour}
        self._dynamodb.put_item(TableName=self._table, Item=items.wire(item))

    def read_hour(self) -> str | None:
        """The last one that was kept."""
        key = items.wire({keys.KEY: keys.HOUR})
        item = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return None if item is None else str(items.plain(item)["hour"])


def _snapshot(found: Iterable[items.Item]) -> Snapshot:
    by_key = {item[keys.KEY]: item for item in found}
    pointer, beat, holds = (by_key.get(key) for key in (keys.POINTER, keys.BEAT, keys.HOLDS))
    records = [items.to_record(item) for key, item in by_key.items() if key.startswith(_RELEASE_PREFIX)]
    verdicts = {key: item for key, item in by_key.items() if key.startswith(keys.GATE_CHECKS)}
    gate_prefix = keys.GATES.rstrip("*")
    proofs = {k: item for k, item in by_key.items() if k.startswith(gate_prefix) and k not in verdicts}
    return Snapshot(
        records={record.release: record for record in records},
        pointer=NO_POINTER if pointer is None else items.to_pointer(pointer),
        proofs={key: float(item["at"]) for key, item in proofs.items()},
        beat_at=None if beat is None else float(beat["at"]),
        holds=NO_HOLDS if holds is None else to_holds(holds),
        # Every proof of a release has the same: its workers run the same application. Of builds, the newest.
        checks={
            item["release"]: items.to_checks(item)
            for item in sorted(proofs.values(), key=lambda item: float(item["at"]))
            if "release" in item
        },
        verdicts={key: items.to_verdict(item) for key, item in verdicts.items()},
    )


class _conflicts:  # noqa: N801 - used as a context manager, like contextlib's own
    """Turns DynamoDB's two ways to refuse a conditional write into `Conflict`."""

    _CODES = frozenset(
        {"ConditionalCheckFailedException", "TransactionCanceledException", "TransactionConflictException"}
    )

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] in self._CODES:
            raise Conflict(f"{self._what} meanwhile; nothing was written: look again, then decide") from error
