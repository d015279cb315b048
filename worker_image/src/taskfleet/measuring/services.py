"""What ECS says of services: wanted and running."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from taskfleet.contract import names
from taskfleet.releases.model import Record

_AT_ONCE = 10  # DescribeServices


@dataclass(frozen=True)
class Service:
    """One service's tasks. ``running`` includes those that are being replaced."""

    desired: int
    running: int


def services_of(record: Record) -> list[str]:
    """The names of a release's services: each pool's on both brokers, and its beat's."""
    release, pools = record.release, record.manifest.pools
    workers = [names.service(p.name, release, fallback=fallback) for p in pools for fallback in (False, True)]
    return [*workers, *([names.beat_service(release)] if record.manifest.beat else [])]


def beat_of(record: Record) -> str:
    """The service of the beat that fires while a release is current: the fleet's, if it has none."""
    return names.beat_service(record.release) if record.manifest.beat else names.BEAT_SERVICE


def services(ecs: Any, cluster: str, named: Iterable[str]) -> dict[str, Service]:
    """Each active service; one that does not exist is left out. Errors of AWS pass through."""
    wanted = list(named)
    found: dict[str, Service] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        reply = ecs.describe_services(cluster=cluster, services=wanted[start : start + _AT_ONCE])
        for service in reply["services"]:
            if service["status"] == "ACTIVE":
                counts = Service(desired=service["desiredCount"], running=service["runningCount"])
                found[service["serviceName"]] = counts
    return found
