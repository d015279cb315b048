"""Wait until what was deployed runs, and look at it over the APIs that an operator would use."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError
from taskfleet.contract import names, parameters, results

from local.account import ENVIRONMENT
from local.clients import client
from local.ports import Ports

_POLL_SECONDS = 0.3


class NotSteady(Exception):
    """What does not run, and where to look."""


@dataclass(frozen=True)
class Service:
    """An ECS service's counts."""

    name: str
    desired: int
    running: int
    steady: bool


def services(ports: Ports) -> list[Service]:
    """All of the cluster, by name."""
    ecs, cluster = client(ports, "ecs"), names.cluster(ENVIRONMENT)
    arns = [
        arn
        for page in ecs.get_paginator("list_services").paginate(cluster=cluster)
        for arn in page["serviceArns"]
    ]
    found = []
    for ten in _tens(arns):  # DescribeServices takes ten at a time
        for service in ecs.describe_services(cluster=cluster, services=ten)["services"]:
            primary = next(d for d in service["deployments"] if d["status"] == "PRIMARY")
            through = primary["rolloutState"] == "COMPLETED" and len(service["deployments"]) == 1
            desired, running = service["desiredCount"], service["runningCount"]
            found.append(Service(service["serviceName"], desired, running, through and desired == running))
    return sorted(found, key=lambda service: service.name)


def _tens(arns: list[str]) -> Iterator[list[str]]:
    yield from (arns[start : start + 10] for start in range(0, len(arns), 10))


def wait_for_services(ports: Ports, *, seconds: float, tell: Callable[[str], None]) -> list[Service]:
    """Until every service is steady. Raises `NotSteady`."""
    deadline = time.monotonic() + seconds
    while True:
        found = services(ports)
        waiting = [service.name for service in found if not service.steady]
        if found and not waiting:
            return found
        if time.monotonic() > deadline:
            raise NotSteady(f"not steady after {seconds:.0f} s: {', '.join(waiting)}")
        tell(", ".join(waiting))
        time.sleep(_POLL_SECONDS)


def current_release(ports: Ports) -> str | None:
    """What producers publish to; None before the first."""
    value = _parameter(ports, parameters.current_release(ENVIRONMENT))
    return None if value == parameters.NO_RELEASE else value


def result_backend(ports: Ports) -> str | None:
    """Where results are kept; None where the application says."""
    value = _parameter(ports, parameters.base(ENVIRONMENT, "result-backend"))
    return None if value == results.NONE else value


def _parameter(ports: Ports, name: str) -> str | None:
    try:
        answer = client(ports, "ssm").get_parameter(Name=name)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return None
        raise
    return str(answer["Parameter"]["Value"])


def wait_for_release(ports: Ports, *, seconds: float) -> str:
    """Until the controller has made a first release current; its id. Raises `NotSteady`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        release = current_release(ports)
        if release is not None:
            return release
        time.sleep(_POLL_SECONDS)
    raise NotSteady(f"no release became current within {seconds:.0f} s: the controller's log says why")


def bootstrapped(ports: Ports) -> bool:
    """Whether the account has what the CDK needs."""
    try:
        stacks = client(ports, "cloudformation").describe_stacks(StackName="CDKToolkit")["Stacks"]
    except (BotoCoreError, ClientError):
        return False
    return stacks[0]["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
