"""Marks the workers that shall go where ECS has more than a service wants (`taskfleet.scaling.marks`)."""

from __future__ import annotations

from typing import Any

import redis
from botocore.exceptions import BotoCoreError, ClientError

from taskfleet.contract import names
from taskfleet.controller.clients import Clients
from taskfleet.controller.gather import Gathered
from taskfleet.scaling import marks

_AT_ONCE = 100  # DescribeTasks


class Leaving:
    """Remembers which services it has marked somebody of, and which had a surplus at the look before."""

    def __init__(self) -> None:
        self._surplus: set[str] = set()
        self._marked: set[str] = set()

    def look(self, clients: Clients, seen: Gathered) -> list[str]:
        """Mark, and take marks back. What does not answer is a problem; marks end by themselves."""
        if seen.services is None or not seen.broker_up:
            return []
        wanted = {
            service: counts.desired
            for record in seen.live
            for pool in record.manifest.pools
            if (counts := seen.services.get(service := names.service(pool.name, record.release)))
            and counts.running > counts.desired
        }
        # One look's surplus is a worker that is just ending.
        lasting, self._surplus = set(wanted) & self._surplus, set(wanted)
        problems = []
        for service in sorted(lasting | self._marked):
            try:
                self._mark(clients, service, wanted.get(service) if service in lasting else None)
            except (BotoCoreError, ClientError, redis.RedisError, OSError) as error:
                problems.append(f"workers of {service} that shall go are not marked: {error}")
        return problems

    def _mark(self, clients: Clients, service: str, desired: int | None) -> None:
        tasks: list[str] = []
        if desired is not None:
            alive = _alive(clients.ecs, names.cluster(clients.environment), service)
            tasks = marks.chosen(alive, marks.read(clients.primary, service), len(alive) - desired)
        marks.write(clients.primary, service, tasks)
        (self._marked.add if tasks else self._marked.discard)(service)


def _alive(ecs: Any, cluster: str, service: str) -> list[str]:
    """Ids of the service's tasks that ECS has not told to stop, the oldest first.

    In a deployment these are those that are being replaced.
    """
    pages = ecs.get_paginator("list_tasks").paginate(
        cluster=cluster, serviceName=service, desiredStatus="RUNNING"
    )
    arns = [arn for page in pages for arn in page["taskArns"]]
    found: list[dict[str, Any]] = []
    for start in range(0, len(arns), _AT_ONCE):
        found += ecs.describe_tasks(cluster=cluster, tasks=arns[start : start + _AT_ONCE])["tasks"]
    return [task["taskArn"].rpartition("/")[2] for task in sorted(found, key=_age)]


def _age(task: dict[str, Any]) -> tuple[float, str]:
    created = task.get("createdAt")
    return (created.timestamp() if created else 0.0), task["taskArn"]
