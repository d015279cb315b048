"""Tell the emulated ECS which tasks exist (`local.emulator`, ``PUT /_local/ecs/tasks``)."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from local.agent.model import Run
from local.agent.task import Task

PATH = "/_local/ecs/tasks"
_TIMEOUT_SECONDS = 5


@dataclass(frozen=True)
class Answer:
    """``run``: what RunTask asked for. ``stop``: tasks that somebody asked ECS to stop. ``protected``: task →
    seconds since the epoch.
    """

    run: tuple[Run, ...] = ()
    stop: tuple[str, ...] = ()
    protected: dict[str, float] = field(default_factory=dict)


def as_reported(task: Task) -> dict[str, Any]:
    """One task in the report's form."""
    outcome = task.outcome
    stopped = task.status == "STOPPED"
    asked = {"group": task.asked.group, "startedBy": task.asked.started_by} if task.asked else {}
    return {
        **asked,
        "id": task.id,
        "cluster": task.service.cluster,
        "service": task.service.name,
        "taskDefinition": task.revision.task_definition,
        "deployment": task.revision.deployment,
        "lastStatus": task.status,
        "desiredStatus": "STOPPED" if task.stopping or stopped else "RUNNING",
        "healthStatus": str(task.health),
        "createdAt": task.created_at,
        "startedAt": task.started_at,
        "stoppedAt": task.stopped_at,
        "stopCode": outcome.code if outcome else None,
        "stoppedReason": outcome.reason if outcome else None,
        "exitCode": outcome.exit_code if outcome else None,
        "pid": task.process.pid if task.process is not None and not stopped else None,
    }


def send(endpoint: str, tasks: Iterable[dict[str, Any]]) -> Answer:
    """The whole truth, in one request. Raises OSError (urllib's errors are) if it was not taken."""
    request = urllib.request.Request(  # noqa: S310 - the emulator's own URL
        endpoint + PATH,
        method="PUT",
        data=json.dumps({"tasks": list(tasks)}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as reply:  # noqa: S310
        answer = json.loads(reply.read() or b"{}")
    return Answer(
        tuple(map(_run, answer.get("run", ()))),
        tuple(answer.get("stop", ())),
        dict(answer.get("protected", {})),
    )


def _run(asked: dict[str, Any]) -> Run:
    return Run(
        id=asked["id"],
        cluster=asked["cluster"],
        task_definition=asked["taskDefinition"],
        group=asked["group"],
        started_by=asked["startedBy"],
        command=tuple(asked["command"]),
        environment=asked["environment"],
    )
