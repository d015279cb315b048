"""The leases of producers in their table: written by each of them, listed by the controller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from taskfleet.contract import leases as keys
from taskfleet.contract import names
from taskfleet.releases.items import plain, wire
from taskfleet.releases.lease import Lease


class Leases:
    """Errors of AWS pass through as they are. ``dynamodb`` makes a client, or gives the one there is."""

    def __init__(self, dynamodb: Callable[[], Any], environment: str) -> None:
        self._dynamodb, self._table = dynamodb, names.producers_table(environment)

    def write(self, lease: Lease) -> None:
        """Write it over the one before."""
        item = {
            **vars(lease),
            "releases": list(lease.releases),
            keys.PARTITION: keys.LEASES,
            keys.EXPIRES: int(lease.until + keys.KEPT_SECONDS),
        }
        self._dynamodb().put_item(TableName=self._table, Item=wire(item))

    def list(self) -> tuple[Lease, ...]:
        """All that are kept, those that are past too."""
        pages = (
            self._dynamodb()
            .get_paginator("query")
            .paginate(
                TableName=self._table,
                KeyConditionExpression="#kind = :lease",
                ExpressionAttributeNames={"#kind": keys.PARTITION},
                ExpressionAttributeValues=wire({":lease": keys.LEASES}),
                ConsistentRead=True,
            )
        )
        return tuple(_lease(plain(item)) for page in pages for item in page["Items"])

    def forget(self, process: str) -> None:
        """Delete the lease of a process that has ended."""
        key = wire({keys.PARTITION: keys.LEASES, keys.PROCESS: process})
        self._dynamodb().delete_item(TableName=self._table, Key=key)


def _lease(item: dict[str, Any]) -> Lease:
    return Lease(
        process=item[keys.PROCESS],
        host=item["host"],
        pid=int(item["pid"]),
        application=item["application"],
        releases=tuple(item["releases"]),
        pinned=bool(item["pinned"]),
        since=float(item["since"]),
        until=float(item[keys.UNTIL]),
    )
