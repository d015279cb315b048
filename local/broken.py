"""Services whose newest container did not stay up, for `make status`: a broken save, most often.

The local fleet keeps the old worker then, and tries again and again; nothing else would say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from taskfleet.contract import names

from local.account import ENVIRONMENT
from local.clients import client
from local.last_words import end_of
from local.places import Places
from local.ports import Ports
from local.steady import services

_AT_ONCE = 100  # DescribeTasks


def broken(places: Places, ports: Ports) -> str:
    """For each such service, why its newest container ended, and the end of its log; empty without any."""
    try:
        found = list(newest_failures(_tasks(ports)))
    except (BotoCoreError, ClientError):
        return ""  # the account does not answer, which the status of its process says
    return "\n\n".join(_said(places.logs, service, task) for service, task in found)


def newest_failures(tasks: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each service whose newest task has ended by itself with an error, and that task.

    ``tasks`` are in the form of DescribeTasks, running and stopped.
    """
    newest: dict[str, Mapping[str, Any]] = {}
    for task in sorted(tasks, key=lambda task: str(task["createdAt"])):
        newest[task["group"].removeprefix("service:")] = task
    for service, task in sorted(newest.items()):
        codes = [container.get("exitCode") for container in task["containers"]]
        if task["lastStatus"] == "STOPPED" and any(codes):
            yield service, task


def _tasks(ports: Ports) -> Iterator[Mapping[str, Any]]:
    ecs, cluster = client(ports, "ecs"), names.cluster(ENVIRONMENT)
    for service in services(ports):
        for status in ("RUNNING", "STOPPED"):
            listed = ecs.list_tasks(cluster=cluster, serviceName=service.name, desiredStatus=status)
            arns = listed["taskArns"][:_AT_ONCE]
            if arns:
                yield from ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"]


def _said(logs: Path, service: str, task: Mapping[str, Any]) -> str:
    log = logs / service / f"{task['taskArn'].rpartition('/')[2]}.log"
    code = next(container["exitCode"] for container in task["containers"] if container.get("exitCode"))
    return f"{service}: its newest container ended with exit code {code}. The end of {log}:\n{end_of(log)}"
