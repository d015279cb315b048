"""RunTask: what was asked for, until the agent has begun it. From then on the agent's reports tell of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from ministack.services import ecs

Record = dict[str, Any]

_waiting: dict[str, Record] = {}  # by the task's id, in the form that the agent takes
_by_token: dict[tuple[str, str], str] = {}  # (cluster, client token) → the task's id


def ask(data: Mapping[str, Any], *, cluster: str, definition: Record) -> str:
    """The id of the new task; of the one before if the client token was used before.

    Raises ``ValueError`` for overrides of a container that the definition has not.
    """
    token = str(data.get("clientToken") or uuid.uuid4())
    if (known := _by_token.get((cluster, token))) is not None:
        return known
    containers = {one["name"] for one in definition["containerDefinitions"]}
    overrides = data.get("overrides", {}).get("containerOverrides", [])
    for override in overrides:
        if override.get("name") not in containers:
            raise ValueError(f"Override for container named {override.get('name')} is not a container.")
    override = overrides[0] if overrides else {}
    id = uuid.uuid4().hex
    _waiting[id] = {
        "id": id,
        "cluster": cluster,
        "taskDefinition": definition["taskDefinitionArn"],
        "group": data.get("group") or f"family:{definition['family']}",
        "startedBy": data.get("startedBy", ""),
        "command": override.get("command", []),
        "environment": {one["name"]: one["value"] for one in override.get("environment", [])},
    }
    _by_token[cluster, token] = id
    return id


def waiting(reported: set[str]) -> list[Record]:
    """Those that the agent has not begun; what it reports needs no more asking."""
    for id in reported & _waiting.keys():
        del _waiting[id]
    return list(_waiting.values())


def as_reported(asked: Record) -> Record:
    """As the agent would report a task that it has not begun."""
    return {
        **asked,
        "lastStatus": "PROVISIONING",
        "desiredStatus": "RUNNING",
        "createdAt": ecs._iso(),
    }
