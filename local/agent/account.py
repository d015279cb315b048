"""Look at the emulated account's ECS over the AWS API, and ask it for protection in a task's name."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config

from local.account import ROLE
from local.agent.definitions import Definition, parse
from local.agent.environment import CREDENTIALS
from local.agent.model import Revision, Service, ServiceName

# DescribeServices takes ten at a time.
_BATCH = 10


class Account:
    """Clients of the emulated account, and what its ECS wants to run."""

    def __init__(self, *, endpoint: str, region: str) -> None:
        self._endpoint, self._region = endpoint, region
        self._ecs = self.client("ecs")
        self._definitions: dict[str, Definition] = {}
        self._of_roles: dict[str | None, Any] = {}
        self._lock = threading.Lock()

    def client(self, service: str, *, key: str = CREDENTIALS["AWS_ACCESS_KEY_ID"]) -> Any:
        """A boto3 client that can only reach the emulated account, whatever is in this environment."""
        config = Config(
            connect_timeout=2,
            read_timeout=10,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
        )
        return boto3.client(
            service,
            endpoint_url=self._endpoint,
            region_name=self._region,
            aws_access_key_id=key,
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=config,
        )

    def services(self) -> list[Service]:
        """Every active service of every cluster. Raises botocore's errors if ECS does not answer."""
        return [
            _service(cluster, found)
            for cluster in self._ecs.list_clusters()["clusterArns"]
            for found in self._describe(cluster)
            if found["status"] == "ACTIVE"
        ]

    def definition(self, arn: str) -> Definition:
        """A task definition; kept, because a revision never changes. Raises `StartError`."""
        if arn not in self._definitions:
            found = self._ecs.describe_task_definition(taskDefinition=arn)
            self._definitions[arn] = parse(found["taskDefinition"])
        return self._definitions[arn]

    def protect(self, task: str, cluster: str, role: str | None, protected: bool, minutes: int) -> None:
        """Ask ECS with the task's role, by which the account knows who asks (`local.emulator.recorder`)."""
        with self._lock:  # boto3 makes clients in one thread at a time
            if role not in self._of_roles:
                self._of_roles[role] = self.client("ecs", **({"key": f"{ROLE}{role}"} if role else {}))
            ecs = self._of_roles[role]
        expires = {"expiresInMinutes": minutes} if protected else {}
        ecs.update_task_protection(cluster=cluster, tasks=[task], protectionEnabled=protected, **expires)

    def _describe(self, cluster: str) -> Iterator[dict[str, Any]]:
        pages = self._ecs.get_paginator("list_services").paginate(cluster=cluster)
        arns = [arn for page in pages for arn in page["serviceArns"]]
        for start in range(0, len(arns), _BATCH):
            batch = arns[start : start + _BATCH]
            yield from self._ecs.describe_services(cluster=cluster, services=batch)["services"]


def _service(cluster: str, found: dict[str, Any]) -> Service:
    """The primary deployment is what is wanted; it has the old definition again after a rollback."""
    primary: dict[str, Any] = next((d for d in found.get("deployments", ()) if d["status"] == "PRIMARY"), {})
    bounds = found.get("deploymentConfiguration", {})
    return Service(
        id=ServiceName(cluster.rsplit("/", 1)[-1], found["serviceName"]),
        desired=found["desiredCount"],
        launches=primary.get("rolloutState") != "FAILED",
        revision=Revision(primary.get("taskDefinition", found["taskDefinition"]), primary.get("id", "")),
        minimum_healthy_percent=bounds.get("minimumHealthyPercent", 100),
        maximum_percent=bounds.get("maximumPercent", 200),
    )
