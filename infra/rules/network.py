"""The VPC, and how long logs are kept."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings

# CloudWatch Logs, PutRetentionPolicy: retentionInDays takes these numbers and no others.
RETENTION_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653)
PRIVATE_PREFIX = 20  # 4,091 addresses a zone: each Fargate task takes one
PUBLIC_PREFIX = 24
# RFC 1918, and RFC 6598, which VPCs have too. Python's `is_private` has ranges that no VPC can have.
_PRIVATE = tuple(
    ipaddress.IPv4Network(block)
    for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)


def is_private(block: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    """Whether these addresses can be those of a VPC, and of no public host."""
    return isinstance(block, ipaddress.IPv4Network) and any(block.subnet_of(one) for one in _PRIVATE)


def _zones(settings: Settings) -> Iterator[Problem]:
    zones = settings.network.availability_zones
    wrong = [zone for zone in zones if not zone.startswith(settings.region) or zone == settings.region]
    if wrong:
        yield Problem(
            setting="network.availability_zones",
            value=zones,
            rule=f"zones must be of the region {settings.region}",
            fix=f"name them like {settings.region}a",
        )
    if not zones or len(set(zones)) != len(zones):
        yield Problem(
            setting="network.availability_zones",
            value=zones,
            rule="there must be at least one zone, and none twice",
            fix="name two or three different zones",
        )


def _nat_gateways(settings: Settings) -> Iterator[Problem]:
    network = settings.network
    if network.nat_gateways is None:
        return
    if network.egress != "nat":
        yield Problem(
            setting="network.nat_gateways",
            value=network.nat_gateways,
            rule=f"with egress={network.egress.value!r} there is no NAT gateway",
            fix="leave nat_gateways out, or set egress=Egress.NAT",
        )
    elif not 1 <= network.nat_gateways <= len(network.availability_zones):
        yield Problem(
            setting="network.nat_gateways",
            value=network.nat_gateways,
            rule=f"between 1 and the number of zones ({len(network.availability_zones)})",
            fix="leave it out for one per zone",
        )


def _cidr(settings: Settings) -> Iterator[Problem]:
    network = settings.network
    if network.block is None:
        return
    try:
        block = ipaddress.ip_network(network.block)
    except ValueError as error:
        yield Problem(
            setting="network.cidr",
            value=network.block,
            rule=f"not a network ({error})",
            fix="e.g. 10.40.0.0/16",
        )
        return
    private, public = 2 ** (32 - PRIVATE_PREFIX), 2 ** (32 - PUBLIC_PREFIX)
    needed = len(network.availability_zones) * (private + public)
    if not is_private(block) or block.prefixlen < 16 or block.num_addresses < needed:
        yield Problem(
            setting="network.cidr",
            value=network.block,
            rule=(
                "a private IPv4 block, /16 or smaller, with a "
                f"/{PRIVATE_PREFIX} and a /{PUBLIC_PREFIX} for each zone ({len(network.availability_zones)})"
            ),
            fix="take a /16, e.g. 10.40.0.0/16",
        )


def _retention(settings: Settings) -> Iterator[Problem]:
    given = {
        "log_retention_days": settings.log_retention_days,
        "network.flow_log_retention_days": settings.network.flow_log_retention_days,
    }
    for setting, days in given.items():
        if days not in RETENTION_DAYS:
            yield Problem(
                setting=setting,
                value=days,
                rule=f"CloudWatch Logs takes only {', '.join(map(str, RETENTION_DAYS))} days",
                fix=f"the nearest is {min(RETENTION_DAYS, key=lambda allowed: abs(allowed - days))}",
            )


def overlaps(settings: Settings, others: Iterable[Settings]) -> Iterator[str]:
    """Environments whose VPC this one's can never be peered with. Allowed, since many never are."""
    for other in others:
        if other.name == settings.name or settings.on_this_machine or other.on_this_machine:
            continue
        here, there = settings.network.block, other.network.block
        if here and there and ipaddress.ip_network(here).overlaps(ipaddress.ip_network(there)):
            yield (
                f"the VPCs of {settings.name} ({here}) and {other.name} ({there}) overlap: they can't be "
                "peered, nor both with a third. Give each a network.cidr of its own before its first "
                "deploy: a VPC that changes it is made anew."
            )


RULES = (_zones, _nat_gateways, _cidr, _retention)
