"""The DynamoDB tables, and who may do what with the dead letters."""

from __future__ import annotations

import json
from typing import Any

from taskfleet.contract import dead_letters as keys
from taskfleet.contract import etas, names, state, tools
from taskfleet.testing.base import key_schema

from tests.infra.synthesis import RELEASE, Synthesis, Template, of_type

TABLE = f":table/{names.dead_letters_table('prod')}"


def tables(blueprint: Synthesis) -> dict[str, dict[str, Any]]:
    return {
        table["TableName"]: table
        for table in of_type(blueprint.of("prod", "fleet"), "AWS::DynamoDB::Table").values()
    }


def statements(template: Template, role_prefix: str) -> list[dict[str, Any]]:
    """Of the policies of the roles whose logical ids start so."""
    return [
        statement
        for logical_id, policy in of_type(template, "AWS::IAM::Policy").items()
        if logical_id.startswith(role_prefix)
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def allowed(found: list[dict[str, Any]], resource: str) -> set[str]:
    """The actions on exactly this resource."""
    matching = [
        s["Action"] for s in found if any(each.endswith(resource) for each in map(json.dumps, _resources(s)))
    ]
    return {action for each in matching for action in ([each] if isinstance(each, str) else each)}


def _resources(statement: dict[str, Any]) -> list[Any]:
    given = statement["Resource"]
    return given if isinstance(given, list) else [given]


def test_all_tables_are_encrypted_recoverable_and_paid_by_use(blueprint: Synthesis) -> None:
    assert set(tables(blueprint)) == {
        names.state_table("prod"),
        names.dead_letters_table("prod"),
        names.producers_table("prod"),
        names.etas_table("prod"),
        names.tools_table("prod"),
    }
    for table in tables(blueprint).values():
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert table["SSESpecification"]["SSEType"] == "KMS"


def test_the_tools_table_is_the_contracts(blueprint: Synthesis) -> None:
    table = tables(blueprint)[names.tools_table("prod")]

    assert table["KeySchema"] == [{"AttributeName": tools.KEY, "KeyType": "HASH"}]
    assert table["TimeToLiveSpecification"] == {"AttributeName": tools.EXPIRES, "Enabled": True}


def test_the_table_of_etas_is_the_contracts(blueprint: Synthesis) -> None:
    table = tables(blueprint)[names.etas_table("prod")]

    assert table["KeySchema"] == key_schema(etas.SHARD, etas.POSITION)
    assert table["TimeToLiveSpecification"] == {"AttributeName": etas.EXPIRES, "Enabled": True}


def test_the_state_table_is_the_contracts(blueprint: Synthesis) -> None:
    table = tables(blueprint)[names.state_table("prod")]

    assert table["KeySchema"] == [{"AttributeName": state.KEY, "KeyType": "HASH"}]
    assert table["TimeToLiveSpecification"] == {"AttributeName": state.EXPIRES, "Enabled": True}


def test_the_dead_letters_table_is_the_contracts(blueprint: Synthesis) -> None:
    table = tables(blueprint)[names.dead_letters_table("prod")]

    assert table["KeySchema"] == key_schema(keys.ID, keys.PART)
    assert table["TimeToLiveSpecification"] == {"AttributeName": keys.EXPIRES, "Enabled": True}
    (index,) = table["GlobalSecondaryIndexes"]
    assert index["IndexName"] == keys.INDEX
    assert index["KeySchema"] == key_schema(keys.QUEUE, keys.PARKED)
    assert index["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(keys.LISTED)}


def test_a_worker_may_put_a_dead_letter_and_no_more(blueprint: Synthesis) -> None:
    found = statements(blueprint.of("prod", f"release-{RELEASE}"), "")

    assert allowed(found, f'{TABLE}"') == {"dynamodb:PutItem"}
    assert not [s for s in found if f"{TABLE}/index" in json.dumps(s)]
    assert not [s for s in found if names.dead_letter_queue("prod", "low") in json.dumps(s)]


def test_the_controller_may_put_and_count_dead_letters_and_empty_sqs_of_them(blueprint: Synthesis) -> None:
    found = statements(blueprint.of("prod", "fleet"), "Controller")

    assert allowed(found, f'{TABLE}"') == {"dynamodb:PutItem", "dynamodb:DeleteItem"}
    assert allowed(found, f'{TABLE}/index/{keys.INDEX}"') == {"dynamodb:Query"}
    (take,) = [s for s in found if s.get("Sid") == "TakeDeadLetters"]
    assert set(take["Action"]) == {"sqs:ReceiveMessage", "sqs:DeleteMessage"}
    assert all(":taskfleet-prod-dead-" in json.dumps(each) for each in take["Resource"])


def test_beat_has_nothing_to_do_with_dead_letters(blueprint: Synthesis) -> None:
    assert names.dead_letters_table("prod") not in json.dumps(
        statements(blueprint.of("prod", "fleet"), "Beat")
    )
