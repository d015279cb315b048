"""IAM: no ``*`` action at all, and a ``*`` resource only where AWS has no narrower one.

Pure functions over synthesized templates; `tests/infra/test_checks.py` runs them over every stack.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Action → why its resource is ``*``. The Service Authorization Reference lists no resource type for
# these (except where said).
NO_NARROWER_RESOURCE: dict[str, str] = {
    "cloudwatch:PutMetricData": "no resource types; narrowed to one namespace by a condition",
    "ecs:ListTasks": "no resource type but the container instance; narrowed to a cluster by a condition",
    "ecr:GetAuthorizationToken": "no resource types: the token is the account's",
    "logs:DescribeLogGroups": "lists: ECS Exec asks for it to check its log group",
    "ssmmessages:CreateControlChannel": "no resource types: ECS Exec's channel",
    "ssmmessages:CreateDataChannel": "no resource types: ECS Exec's channel",
    "ssmmessages:OpenControlChannel": "no resource types: ECS Exec's channel",
    "ssmmessages:OpenDataChannel": "no resource types: ECS Exec's channel",
}
# A resource-based policy names the resource that it hangs on: in a key's policy ``*`` is that key.
OWN_RESOURCE = {
    "AWS::KMS::Key": "inside a key policy the resource * is the key itself; AWS takes no ARN there"
}


@dataclass(frozen=True)
class Statement:
    """One Allow statement, where it was found, with its lists made lists."""

    logical_id: str
    type: str
    actions: tuple[str, ...]
    resources: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.logical_id}: {', '.join(self.actions)} on {self.resources}"


def statements(template: Mapping[str, Any]) -> Iterator[Statement]:
    """Every Allow statement of every policy in a template, wherever in a resource it stands."""
    for logical_id, resource in template["Resources"].items():
        for statement in _find(resource.get("Properties", {})):
            if statement.get("Effect") == "Allow":
                yield Statement(
                    logical_id=logical_id,
                    type=resource["Type"],
                    actions=_listed(statement.get("Action", statement.get("NotAction"))),
                    resources=_listed(statement.get("Resource", statement.get("NotResource"))),
                )


def broad_actions(template: Mapping[str, Any]) -> list[Statement]:
    """Statements that allow ``*``, ``service:*`` or ``service:Verb*``."""
    return [one for one in statements(template) if any("*" in action for action in one.actions)]


def broad_resources(template: Mapping[str, Any]) -> list[Statement]:
    """Statements on every resource, whose actions AWS could narrow."""
    return [
        one
        for one in statements(template)
        if "*" in one.resources
        and one.type not in OWN_RESOURCE
        and not all(action in NO_NARROWER_RESOURCE for action in one.actions)
    ]


def _find(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        if isinstance(value.get("Statement"), list):
            yield from value["Statement"]
        for inner in value.values():
            yield from _find(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _find(inner)


def _listed(value: object) -> tuple[Any, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else (value,)
