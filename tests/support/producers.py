"""The table of producers' leases, for accounts that no stack was deployed to."""

from __future__ import annotations

from typing import Any

from taskfleet.contract import leases, names


def create_table(dynamodb: Any, environment: str) -> None:
    """As the fleet's stack makes it."""
    keys = {leases.PARTITION: "HASH", leases.PROCESS: "RANGE"}
    dynamodb.create_table(
        TableName=names.producers_table(environment),
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
        BillingMode="PAY_PER_REQUEST",
    )
