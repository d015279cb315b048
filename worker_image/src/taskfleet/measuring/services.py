"""What ECS says of services: wanted and running."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_AT_ONCE = 10  # DescribeServices


@dataclass(frozen=True)
class Service:
    """One service's tasks. ``running`` includes those that are being replaced."""

    desired: int
    running: int


def services(ecs: Any, cluster: str, names: Iterable[str]) -> dict[str, Service]:
    """Each active service; one that does not exist is left out. Errors of AWS pass through."""
    wanted = list(names)
    found: dict[str, Service] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        reply = ecs.describe_services(cluster=cluster, services=wanted[start : start + _AT_ONCE])
        for service in reply["services"]:
            if service["status"] == "ACTIVE":
                counts = Service(desired=service["desiredCount"], running=service["runningCount"])
                found[service["serviceName"]] = counts
    return found
