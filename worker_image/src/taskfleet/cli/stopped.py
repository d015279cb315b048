"""Why ECS could not keep a service's tasks running: what it keeps of those that stopped lately."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_TASKS = 3
_EVENTS = 1


def why_stopped(ecs: Any, cluster: str, service: str) -> list[str]:
    """A line for each of the last stopped tasks, and the service's last event. ECS forgets after an hour."""
    arns = ecs.list_tasks(cluster=cluster, serviceName=service, desiredStatus="STOPPED", maxResults=_TASKS)[
        "taskArns"
    ]
    tasks = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
    return [*(line for task in tasks for line in _stopped(task)), *_events(ecs, cluster, service)]


def _stopped(task: dict[str, Any]) -> Iterator[str]:
    parts = [task.get("stopCode"), task.get("stoppedReason")]
    for container in task.get("containers", []):
        if container.get("exitCode") is not None:
            parts.append(f"exit code {container['exitCode']}")
        parts.append(container.get("reason"))
    said = ", ".join(part for part in parts if part)
    if said:
        yield f"a task stopped: {said}"


def _events(ecs: Any, cluster: str, service: str) -> Iterator[str]:
    (found,) = ecs.describe_services(cluster=cluster, services=[service])["services"]
    for event in found.get("events", [])[:_EVENTS]:
        yield f"ECS says: {event['message']}"
