"""What the account writes down of a request: action, resource and condition keys, as IAM sees them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from local.emulator.calls import Asked, Place, asked
from local.emulator.recorder import Recorder

HERE = Place("eu-west-1", "1")
STATE = "arn:aws:dynamodb:eu-west-1:1:table/taskfleet-dev-state"

CASES: list[tuple[str, str, dict[str, Any], list[Asked]]] = [
    (
        "sqs",
        "SendMessageBatch",
        {"QueueUrl": "http://localhost/1/taskfleet-dev-low-r1"},
        [Asked("sqs:SendMessage", "arn:aws:sqs:eu-west-1:1:taskfleet-dev-low-r1")],
    ),
    (
        "ssm",
        "GetParameters",
        {"Names": ["/a/b", "c"]},
        [Asked("ssm:GetParameters", f"arn:aws:ssm:eu-west-1:1:parameter/{name}") for name in ("a/b", "c")],
    ),
    (
        "dynamodb",
        "TransactWriteItems",
        {"TransactItems": [{"Put": {"TableName": "taskfleet-dev-state", "Item": {"id": {"S": "pointer"}}}}]},
        [Asked("dynamodb:PutItem", STATE, {"dynamodb:LeadingKeys": ["pointer"]})],
    ),
    (
        "dynamodb",
        "BatchGetItem",
        {"RequestItems": {"taskfleet-dev-state": {"Keys": [{"id": {"S": "look"}}, {"id": {"S": "beat"}}]}}},
        [Asked("dynamodb:BatchGetItem", STATE, {"dynamodb:LeadingKeys": [key]}) for key in ("look", "beat")],
    ),
    (
        "ecs",
        "UpdateTaskProtection",
        {"cluster": "c", "tasks": ["0f" * 16], "protectionEnabled": True},
        [Asked("ecs:UpdateTaskProtection", "arn:aws:ecs:eu-west-1:1:task/c/<id>")],
    ),
    (
        "monitoring",
        "PutMetricData",
        {"Namespace": "Taskfleet"},
        [Asked("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "Taskfleet"})],
    ),
    (
        "ecs",
        "DescribeTasks",
        {"cluster": "c", "tasks": ["arn:aws:ecs:eu-west-1:1:task/c/" + "0f" * 16]},
        [
            Asked(
                "ecs:DescribeTasks",
                "arn:aws:ecs:eu-west-1:1:task/c/<id>",
                {"ecs:cluster": "arn:aws:ecs:eu-west-1:1:cluster/c"},
            )
        ],
    ),
    ("sts", "GetCallerIdentity", {}, [Asked("sts:GetCallerIdentity", "*")]),
]


@pytest.mark.parametrize(
    ("service", "operation", "params", "wanted"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES]
)
def test_a_request_is_what_iam_is_asked(
    service: str, operation: str, params: dict[str, Any], wanted: list[Asked]
) -> None:
    assert list(asked(service, operation, params, HERE)) == wanted


def request(caller: str, name: str) -> tuple[dict[str, Any], Any]:
    """A signed GetParameter, as ASGI has it, its body in two parts."""
    scope = f"Credential={caller}/20261126/eu-west-1/ssm/aws4_request"
    headers = [(b"authorization", scope.encode()), (b"x-amz-target", b"AmazonSSM.GetParameter")]
    body = json.dumps({"Name": name}).encode()
    parts = [
        {"type": "http.request", "body": body[:5], "more_body": True},
        {"type": "http.request", "body": body[5:], "more_body": False},
    ]

    async def receive() -> dict[str, Any]:
        return parts.pop(0)

    return {"type": "http", "path": "/", "headers": headers}, receive


def test_a_call_is_written_down_once_and_its_body_is_still_there(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    recorder = Recorder(file)

    async def see(caller: str, name: str) -> bytes:
        scope, receive = request(caller, name)
        again = await recorder.see(scope, receive)
        return b"".join([(await again())["body"], (await again())["body"]])

    async def all_of_them() -> list[bytes]:
        return [await see(caller, "/a") for caller in ("role.Beat", "role.Beat", "local")]

    bodies = asyncio.run(all_of_them())

    assert bodies == [b'{"Name": "/a"}'] * 3
    (line,) = file.read_text().splitlines()
    assert json.loads(line)["caller"] == "role.Beat"
    assert json.loads(line)["action"] == "ssm:GetParameter"
