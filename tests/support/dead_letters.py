"""The table of dead letters as the fleet's stack makes it."""

from __future__ import annotations

from typing import Any

from taskfleet.contract import dead_letters as keys
from taskfleet.contract import names


def create_table(dynamodb: Any, environment: str) -> None:
    """Make it. `tests/infra/test_tables.py` holds it to the template."""
    types = {keys.ID: "S", keys.PART: "N", keys.QUEUE: "S", keys.PARKED: "S"}
    dynamodb.create_table(
        TableName=names.dead_letters_table(environment),
        KeySchema=key_schema(keys.ID, keys.PART),
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": type} for name, type in types.items()],
        GlobalSecondaryIndexes=[
            {
                "IndexName": keys.INDEX,
                "KeySchema": key_schema(keys.QUEUE, keys.PARKED),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(keys.LISTED)},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )


def key_schema(partition: str, sort: str) -> list[dict[str, str]]:
    """In CloudFormation's words and DynamoDB's, which are the same."""
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]
