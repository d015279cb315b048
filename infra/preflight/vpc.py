"""What AWS says of the VPC that the settings name, and of its neighbours. It only reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from taskfleet.contract import names

from infra.rules.existing import is_group
from infra.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """``out``: where its default route leads, as an id (nat-…, igw-…, tgw-…); None without one that works.

    ``own``: how many of its addresses this environment has already.
    """

    id: str
    zone: str
    block: str
    free: int
    own: int
    table: str | None
    out: str | None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Group:
    """A security group: its VPC, and who may come in on port 443: ranges, or other groups."""

    id: str
    vpc: str
    ranges: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """``tables`` of a gateway; ``private_dns`` and ``groups`` of an interface.

    ``own``: this environment's network stack made it.
    """

    id: str
    service: str  # behind the region: s3, ecr.api
    available: bool
    own: bool = False
    private_dns: bool = False
    tables: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Vpc:
    """The VPC of the settings."""

    id: str
    blocks: tuple[str, ...]
    dns_support: bool
    dns_hostnames: bool
    subnets: tuple[Subnet, ...]
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """``vpc`` is None where it does not exist or the environment has one of its own.

    ``others``: the blocks of every VPC of the region but the environment's. ``groups``: those of the settings
    that exist.
    """

    vpc: Vpc | None
    others: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, Group]


def look(settings: Settings, ec2: Any) -> Seen:
    """Errors of AWS pass through as they are."""
    existing, found = settings.network.existing, every(ec2, "describe_vpcs", "Vpcs")
    named = next((one for one in found if existing and one["VpcId"] == existing.id), None)
    return Seen(
        vpc=_vpc(settings, ec2, named) if named else None,
        others={one["VpcId"]: _blocks(one) for one in found if not is_ours(settings, one)},
        groups={one.id: one for one in _groups(ec2, "group-id", sorted(_named_groups(settings)))},
    )


def _named_groups(settings: Settings) -> set[str]:
    return peer_groups(settings) | {group for pool in settings.pools for group in pool.security_groups}


def peer_groups(settings: Settings) -> set[str]:
    """The security groups that the settings admit from outside the fleet, of whatever VPC."""
    cache = settings.results_cache
    of_results = (cache.ingress or ()) if cache else ()
    given = (*settings.broker.ingress, *settings.metrics_from, *of_results)
    return {peer for peer in given if is_group(peer)}


def every(ec2: Any, operation: str, key: str, **request: Any) -> list[dict[str, Any]]:
    """All that EC2 lists, page by page."""
    return [one for page in ec2.get_paginator(operation).paginate(**request) for one in page[key]]


def _in(vpc: str) -> list[dict[str, Any]]:
    return [{"Name": "vpc-id", "Values": [vpc]}]


def is_ours(settings: Settings, resource: Mapping[str, Any]) -> bool:
    """Whether it has the tags that the environment's stacks give to all that is in them."""
    return names.stack_tags(settings.name, settings.owner).items() <= _tags(resource).items()


def own_groups(settings: Settings, ec2: Any) -> set[str]:
    """The ids of the environment's security groups."""
    found = every(ec2, "describe_security_groups", "SecurityGroups")
    return {one["GroupId"] for one in found if is_ours(settings, one)}


def own_interfaces(
    settings: Settings, ec2: Any, interfaces: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Those of the environment: all in a VPC of its own, else those that have a security group of its.

    Interfaces that AWS's services make (of tasks, nodes, endpoints) have no tags of the stacks.
    """
    groups = own_groups(settings, ec2)
    vpcs = {one["VpcId"] for one in every(ec2, "describe_vpcs", "Vpcs") if is_ours(settings, one)}
    return [
        one
        for one in interfaces
        if one.get("VpcId") in vpcs or groups & {group["GroupId"] for group in one.get("Groups", ())}
    ]


def _tags(given: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in given.get("Tags", ())}


def _blocks(vpc: Mapping[str, Any]) -> tuple[str, ...]:
    associated = [one["CidrBlock"] for one in vpc.get("CidrBlockAssociationSet", ())]
    return tuple(associated or [vpc["CidrBlock"]])


def _vpc(settings: Settings, ec2: Any, vpc: Mapping[str, Any]) -> Vpc:
    id = str(vpc["VpcId"])

    def attribute(name: str) -> bool:
        answer = ec2.describe_vpc_attribute(VpcId=id, Attribute=name)
        return bool(answer[name[0].upper() + name[1:]]["Value"])

    tables = every(ec2, "describe_route_tables", "RouteTables", Filters=_in(id))
    subnets = every(ec2, "describe_subnets", "Subnets", Filters=_in(id))
    endpoints = every(ec2, "describe_vpc_endpoints", "VpcEndpoints", Filters=_in(id))
    interfaces = every(ec2, "describe_network_interfaces", "NetworkInterfaces", Filters=_in(id))
    own = Counter(one["SubnetId"] for one in own_interfaces(settings, ec2, interfaces))
    guards = sorted({group["GroupId"] for one in endpoints for group in one.get("Groups", ())})
    groups = {one.id: one for one in _groups(ec2, "group-id", guards)}
    return Vpc(
        id=id,
        blocks=_blocks(vpc),
        dns_support=attribute("enableDnsSupport"),
        dns_hostnames=attribute("enableDnsHostnames"),
        subnets=tuple(_subnet(one, tables, own[one["SubnetId"]]) for one in subnets),
        endpoints=tuple(_endpoint(settings, one, groups) for one in endpoints),
    )


def _subnet(subnet: Mapping[str, Any], tables: Sequence[Mapping[str, Any]], own: int) -> Subnet:
    """A subnet with no association of its own has the VPC's main route table."""
    id = subnet["SubnetId"]
    its = [t for t in tables if any(a.get("SubnetId") == id for a in t["Associations"])]
    main = [t for t in tables if any(a.get("Main") for a in t["Associations"])]
    table = next(iter([*its, *main]), None)
    return Subnet(
        id=id,
        zone=subnet["AvailabilityZone"],
        block=subnet["CidrBlock"],
        free=subnet["AvailableIpAddressCount"],
        own=own,
        table=table["RouteTableId"] if table else None,
        out=_way_out(table) if table else None,
        tags=_tags(subnet),
    )


def _way_out(table: Mapping[str, Any]) -> str | None:
    for route in table["Routes"]:
        if route.get("DestinationCidrBlock") == "0.0.0.0/0" and route.get("State", "active") == "active":
            # NatGatewayId, GatewayId, TransitGatewayId, NetworkInterfaceId, InstanceId, …
            return next((str(value) for key, value in route.items() if key.endswith("Id") and value), None)
    return None


def _endpoint(settings: Settings, endpoint: Mapping[str, Any], groups: Mapping[str, Group]) -> Endpoint:
    # com.amazonaws.eu-west-1.ecr.api; the region has no dot.
    service = str(endpoint["ServiceName"]).split(".", 3)[3]
    return Endpoint(
        id=endpoint["VpcEndpointId"],
        service=service,
        available=str(endpoint.get("State", "available")).lower() == "available",
        own=is_ours(settings, endpoint),
        private_dns=bool(endpoint.get("PrivateDnsEnabled")),
        tables=tuple(endpoint.get("RouteTableIds", ())),
        groups=tuple(
            groups[one["GroupId"]] for one in endpoint.get("Groups", ()) if one["GroupId"] in groups
        ),
    )


def _groups(ec2: Any, by: str, values: list[str]) -> list[Group]:
    """By a filter: one that does not exist is then no error, and not among them."""
    if not values:
        return []
    found = every(ec2, "describe_security_groups", "SecurityGroups", Filters=[{"Name": by, "Values": values}])
    return [_group(one) for one in found]


def _group(group: Mapping[str, Any]) -> Group:
    https = [rule for rule in group["IpPermissions"] if _is_https(rule)]
    return Group(
        id=group["GroupId"],
        vpc=group["VpcId"],
        ranges=tuple(one["CidrIp"] for rule in https for one in rule.get("IpRanges", ())),
        groups=tuple(one["GroupId"] for rule in https for one in rule.get("UserIdGroupPairs", ())),
    )


def _is_https(rule: Mapping[str, Any]) -> bool:
    if rule["IpProtocol"] == "-1":
        return True
    return bool(rule["IpProtocol"] == "tcp" and rule["FromPort"] <= 443 <= rule["ToPort"])
