"""A one-off task: a command in a release's image, with the role, variables, secrets and network of a pool.

ECS runs it from the task definition of the pool's workers, beside them. Nothing here waits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from taskfleet.contract import container, names
from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.errors import TaskfleetError

MAX_OVERRIDES = 8192  # characters of all overrides, as JSON (ECS API reference, RunTask)
_FARGATE = {"FARGATE", "FARGATE_SPOT"}


@dataclass(frozen=True)
class Place:
    """A pool of a release: whose workers' task definition, network and log group are used."""

    environment: str
    pool: str
    release: str

    @property
    def service(self) -> str:
        """The pool's ECS service."""
        return names.service(self.pool, self.release)

    @property
    def cluster(self) -> str:
        """The environment's ECS cluster."""
        return names.cluster(self.environment)

    @property
    def log_group(self) -> str:
        """Where its output goes."""
        return names.log_group(self.environment, self.service)

    def log_stream(self, arn: str) -> str:
        """The stream of one task, as the driver `awslogs` calls it."""
        return f"{self.service}/{container.NAME}/{arn.rpartition('/')[2]}"


@dataclass(frozen=True)
class Seen:
    """A task as ECS shows it. ``exit_code`` is None while it runs, and if it never began; ``why`` says so."""

    status: str
    exit_code: int | None
    why: str
    stopped_at: float | None

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.status == "STOPPED"


def pool_of(manifest: ReleaseManifest, pool: str | None = None) -> str:
    """The pool that is meant: unless named, the one that owns the default queue.

    `TaskfleetError` names those that there are.
    """
    known = [each.name for each in manifest.pools]
    if pool is None:
        owners = [each.name for each in manifest.pools if manifest.default_queue in each.queues]
        return (owners or known)[0]
    if pool not in known:
        raise TaskfleetError(f"release {manifest.release} has no pool {pool!r}: one of {', '.join(known)}")
    return pool


def request(
    service: Mapping[str, Any], command: Sequence[str], *, token: str, started_by: str
) -> dict[str, Any]:
    """The parameters of RunTask, from a service of DescribeServices. `TaskfleetError` if ECS takes no such.

    On Fargate never on Spot: a migration should not be interrupted for a better price.
    """
    overrides = {"containerOverrides": [{"name": container.NAME, "command": list(command)}]}
    if len(json.dumps(overrides)) > MAX_OVERRIDES:
        raise TaskfleetError(f"the command is too long: ECS takes {MAX_OVERRIDES} characters of overrides")
    strategy = service.get("capacityProviderStrategy") or []
    own = [one for one in strategy if one["capacityProvider"] not in _FARGATE]
    launch = {"capacityProviderStrategy": own} if own else {"launchType": "FARGATE"}
    network = service.get("networkConfiguration")
    return {
        "cluster": service["clusterArn"],
        "taskDefinition": service["taskDefinition"],
        "overrides": overrides,
        "startedBy": started_by,
        "clientToken": token,
        **launch,
        **({"networkConfiguration": network} if network else {}),
    }


def start(ecs: Any, place: Place, command: Sequence[str], *, token: str, started_by: str) -> str:
    """Start it; the task's ARN. The same ``token`` again starts no second one.

    Raises `TaskfleetError` if the release is not deployed or ECS has no room; AWS's errors pass through.
    """
    found = ecs.describe_services(cluster=place.cluster, services=[place.service])["services"]
    live = [service for service in found if service["status"] == "ACTIVE"]
    if not live:
        raise TaskfleetError(f"release {place.release} has no service {place.service}: deploy it first")
    reply = ecs.run_task(**request(live[0], command, token=token, started_by=started_by))
    if not reply["tasks"]:
        reasons = "; ".join(sorted({str(one.get("reason")) for one in reply["failures"]}))
        raise TaskfleetError(f"ECS starts no task of {place.service}: {reasons or 'it gives no reason'}")
    return str(reply["tasks"][0]["taskArn"])


def find(ecs: Any, place: Place, started_by: str) -> str | None:
    """The task that was started under this name; ECS shows one that has ended for an hour."""
    for status in ("RUNNING", "STOPPED"):
        arns = ecs.list_tasks(cluster=place.cluster, startedBy=started_by, desiredStatus=status)["taskArns"]
        if arns:
            return str(arns[0])
    return None


def look(ecs: Any, place: Place, arn: str) -> Seen | None:
    """How it is; None if ECS shows it no more, or not yet."""
    found = ecs.describe_tasks(cluster=place.cluster, tasks=[arn])["tasks"]
    return _seen(found[0]) if found else None


def stop(ecs: Any, place: Place, arn: str, reason: str) -> None:
    """SIGTERM, then after its stop timeout SIGKILL."""
    ecs.stop_task(cluster=place.cluster, task=arn, reason=reason)


def _seen(task: Mapping[str, Any]) -> Seen:
    containers = task.get("containers", [])
    (main,) = [one for one in containers if one.get("name") == container.NAME] or [{}]
    stopped_at = task.get("stoppedAt")
    return Seen(
        status=task["lastStatus"],
        exit_code=main.get("exitCode") if task["lastStatus"] == "STOPPED" else None,
        why=str(main.get("reason") or task.get("stoppedReason") or ""),
        stopped_at=stopped_at.timestamp() if stopped_at else None,
    )


@dataclass
class Output:
    """What a task has written. ``new`` gives it bit by bit; CloudWatch Logs has it some seconds later."""

    logs: Any
    place: Place
    arn: str
    _next: dict[str, str] = field(default_factory=dict)

    def new(self) -> list[str]:
        """The lines since the last time."""
        lines: list[str] = []
        while True:
            reply = self._read(startFromHead=True, **self._next)
            lines += [event["message"] for event in reply["events"]]
            before, self._next = self._next, reply["next"]
            # An empty page may be followed by others: the same token again is the end (GetLogEvents).
            if not reply["events"] or self._next == before:
                return lines

    def last(self, count: int) -> list[str]:
        """Its last lines."""
        return [event["message"] for event in self._read(limit=count)["events"]]

    def _read(self, **how: Any) -> dict[str, Any]:
        where = {"logGroupName": self.place.log_group, "logStreamName": self.place.log_stream(self.arn)}
        try:
            reply = self.logs.get_log_events(**where, **how)
        except self.logs.exceptions.ResourceNotFoundException:  # it has written nothing yet
            return {"events": [], "next": {}}
        return {"events": reply["events"], "next": {"nextToken": reply["nextForwardToken"]}}
