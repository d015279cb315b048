"""A VPC that the team has, and who of its network reaches what."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from infra.rules.endpoints import GATEWAYS, INTERFACES
from infra.rules.network import is_private
from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import ExistingVpc, Settings

_ID = "-[0-9a-f]{8}(?:[0-9a-f]{9})?"
_TAG = re.compile(r"[^=\s][^=]*=\S.*")
_GROUP = re.compile(f"sg{_ID}")
# ECS API, AwsVpcConfiguration: "There's a limit of 5 security groups that can be specified".
MOST_GROUPS = 5
WIDEST_RANGE = 16  # a VPC is no larger
_WHERE = "network.existing"


def _vpc(settings: Settings) -> Iterator[Problem]:
    if (vpc := settings.network.existing) is None:
        return
    yield from _id("id", vpc.id, "vpc")
    yield from _subnets(vpc, len(settings.network.availability_zones))
    yield from _route_tables(vpc)
    yield from _not_both(settings)
    for name in vpc.endpoints:
        if name not in (*GATEWAYS.values(), *INTERFACES.values()):
            yield Problem(
                setting=f"{_WHERE}.endpoints",
                value=name,
                rule=f"the fleet needs {', '.join([*GATEWAYS.values(), *INTERFACES.values()])}, and no other",
                fix="name those of them that the VPC has",
            )


def _id(setting: str, value: str, kind: str) -> Iterator[Problem]:
    if not re.fullmatch(f"{kind}{_ID}", value):
        yield Problem(
            setting=f"{_WHERE}.{setting}",
            value=value,
            rule=f"an id as AWS gives it, {kind}- and 8 or 17 digits of 0-9a-f",
            fix="copy it from the console, or from `aws ec2 describe-vpcs`, `describe-subnets`, "
            "`describe-route-tables`",
        )


def _subnets(vpc: ExistingVpc, zones: int) -> Iterator[Problem]:
    if bool(vpc.subnet_ids) == (vpc.subnet_tag is not None):
        yield Problem(
            setting=_WHERE,
            value=vpc,
            rule="its private subnets are given (subnet_ids) or looked up (subnet_tag): one of the two",
            fix="subnet_ids, unless somebody else replaces subnets often",
        )
    elif vpc.subnet_tag is not None and not _TAG.fullmatch(vpc.subnet_tag):
        yield Problem(
            setting=f"{_WHERE}.subnet_tag",
            value=vpc.subnet_tag,
            rule="a tag is written KEY=VALUE",
            fix="for instance Tier=private",
        )
    elif vpc.subnet_ids and (len(vpc.subnet_ids) != zones or len(set(vpc.subnet_ids)) != zones):
        yield Problem(
            setting=f"{_WHERE}.subnet_ids",
            value=vpc.subnet_ids,
            rule=f"one private subnet for each of network.availability_zones ({zones}), in their order",
            fix="one id per zone; leave out zones that have none",
        )
    for subnet in vpc.subnet_ids:
        yield from _id("subnet_ids", subnet, "subnet")


def _route_tables(vpc: ExistingVpc) -> Iterator[Problem]:
    for table in vpc.route_table_ids:
        yield from _id("route_table_ids", table, "rtb")
    if vpc.route_table_ids and len(vpc.route_table_ids) != len(vpc.subnet_ids):
        yield Problem(
            setting=f"{_WHERE}.route_table_ids",
            value=vpc.route_table_ids,
            rule=f"one for each of subnet_ids ({len(vpc.subnet_ids)}), in their order; with subnet_tag they "
            "are looked up",
            fix="repeat the id where subnets share a table; leave it out where the VPC has the endpoints "
            f"{' and '.join(GATEWAYS.values())}",
        )


def _not_both(settings: Settings) -> Iterator[Problem]:
    """What only a VPC of its own has, and what a closed one can't do without."""
    network = settings.network
    for name in ("cidr", "nat_gateways"):
        if getattr(network, name) is not None:
            yield Problem(
                setting=f"network.{name}",
                value=getattr(network, name),
                rule="an existing VPC has its addresses and its way out already",
                fix=f"leave {name} out, or network.existing",
            )
    vpc = network.existing
    missing = [one for one in GATEWAYS.values() if vpc and one not in vpc.endpoints]
    if vpc and network.egress == "endpoints" and missing and not vpc.knows_route_tables:
        yield Problem(
            setting=f"{_WHERE}.route_table_ids",
            value=vpc.route_table_ids,
            rule=f"without a way to the internet, {' and '.join(missing)} are reached through gateway "
            "endpoints, which are added to the subnets' route tables",
            fix=f"give the tables, or name {' and '.join(missing)} in {_WHERE}.endpoints if the VPC has them",
        )


def _groups(settings: Settings) -> Iterator[Problem]:
    for pool in settings.pools:
        where, groups = f"pool {pool.name}: security_groups", pool.security_groups
        for group in groups:
            if not _GROUP.fullmatch(group):
                yield Problem(
                    setting=where,
                    value=group,
                    rule="security groups are given by id, sg- and 8 or 17 digits of 0-9a-f",
                    fix="copy it from `aws ec2 describe-security-groups`; it must be of the fleet's VPC",
                )
        if len(set(groups)) != len(groups) or len(groups) >= MOST_GROUPS:
            yield Problem(
                setting=where,
                value=groups,
                rule=f"none twice, at most {MOST_GROUPS - 1}: ECS takes {MOST_GROUPS}, one is the fleet's",
                fix="name fewer",
            )


def _ingress(settings: Settings) -> Iterator[Problem]:
    yield from peers("broker.ingress", settings.broker.ingress)
    yield from peers("metrics_from", settings.metrics_from)


def peers(setting: str, given: tuple[str, ...]) -> Iterator[Problem]:
    """Who may connect from outside the fleet: security groups and private ranges."""
    if len(set(given)) != len(given):
        yield Problem(setting=setting, value=given, rule="none twice", fix="name each once")
    for one in given:
        if not is_group(one) and not _is_private(one):
            yield Problem(
                setting=setting,
                value=one,
                rule="a security group (sg-…) or a range of private IPv4 addresses, "
                f"/{WIDEST_RANGE} or smaller: nothing else has a way into private subnets",
                fix=_proposed(one),
            )


def is_group(peer: str) -> bool:
    """Whether it is a security group's id."""
    return _GROUP.fullmatch(peer) is not None


def _proposed(peer: str) -> str:
    with suppress(ValueError):
        block = str(ipaddress.ip_network(peer, strict=False))
        if block != peer and _is_private(block):
            return f"{block}, where that range begins"
    return "the group of the service that connects, or its subnets' range, as 10.8.0.0/20"


def _is_private(range: str) -> bool:
    try:
        block = ipaddress.ip_network(range)
    except ValueError:
        return False
    return is_private(block) and block.prefixlen >= WIDEST_RANGE


RULES = (_vpc, _groups, _ingress)
