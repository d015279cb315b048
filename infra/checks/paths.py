"""Which container reaches what over the network, read off an environment's synthesized templates. Pure.

Security groups, routes, NAT gateways and VPC endpoints, as EC2 evaluates them: a path is open when the
sender's group lets it out, a route leads there, and the receiver's group lets it in. Network ACLs are the
VPC's default one, which lets all pass, and so are endpoints' policies; a template with another is refused,
since nothing here reads it.
Of a VPC that exists the settings are believed: its way out, and the endpoints that it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from taskfleet.contract import names

from infra.checks.access.resolve import Account
from infra.settings import Egress, Network, Settings

ANYWHERE = "0.0.0.0/0"
HTTPS = 443


@dataclass(frozen=True)
class Rule:
    """One rule of a security group: ``peer`` is a group's id, or a range of addresses."""

    group: str
    peer: str
    first: int
    last: int

    def lets(self, port: int, *peers: str) -> bool:
        """Whether one of ``peers`` passes on this port."""
        return self.first <= port <= self.last and (self.peer in peers or self.peer == ANYWHERE)


@dataclass(frozen=True)
class Place:
    """Where something stands: its subnets and security groups."""

    subnets: tuple[str, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Paths:
    """The network of one environment."""

    account: Account
    settings: Settings

    @property
    def network(self) -> Network:
        """What the settings say of it."""
        return self.settings.network

    def resources(self, type: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """(id as `Ref` gives it, properties without functions) of every resource of a type."""
        for stack, template in self.account.templates.items():
            for name, resource in template["Resources"].items():
                if resource["Type"] == type:
                    yield f"{stack}-{name}", self.account.value(resource.get("Properties", {}), stack)

    # -- who is where -----------------------------------------------------------------------------

    def services(self) -> dict[str, Place]:
        """Each ECS service by its name."""
        found = {}
        for _, properties in self.resources("AWS::ECS::Service"):
            network = properties["NetworkConfiguration"]["AwsvpcConfiguration"]
            found[properties["ServiceName"]] = _place(network["Subnets"], network["SecurityGroups"])
        return found

    def cache(self, name: str) -> tuple[Place, int] | None:
        """Where the ElastiCache group of this name stands, and its port; None without one."""
        subnets = dict(self.resources("AWS::ElastiCache::SubnetGroup"))
        for _, group in self.resources("AWS::ElastiCache::ReplicationGroup"):
            if group["ReplicationGroupId"] == name:
                in_subnets = subnets[group["CacheSubnetGroupName"]]["SubnetIds"]
                return _place(in_subnets, group["SecurityGroupIds"]), int(group["Port"])
        return None

    def broker(self) -> tuple[Place, int]:
        """Where the primary broker stands, and its port. Raises ``LookupError`` without one."""
        found = self.cache(self.settings.broker_group)
        if found is None:
            raise LookupError(f"no replication group is called {self.settings.broker_group}")
        return found

    def results(self) -> tuple[Place, int] | None:
        """The same of the results' cache; None without one."""
        return self.cache(names.results_cache(self.settings.name))

    # -- what is open -----------------------------------------------------------------------------

    def connects(self, source: Place, target: Place, port: int) -> bool:
        """Within the VPC, where every route table has its local route."""
        out = any(rule.group in source.groups and rule.lets(port, *target.groups) for rule in self._egress)
        return out and any(
            rule.group in target.groups and rule.lets(port, *source.groups) for rule in self._ingress
        )

    def reaches_service(self, source: Place, service: str) -> bool:
        """An AWS service by its endpoint's name (``sqs``, ``ecr.api``), from each of the subnets."""
        return all(self._service_from(subnet, source, service) for subnet in source.subnets)

    def admitted(self, target: Place) -> list[Rule]:
        """Every rule that lets somebody in."""
        return [rule for rule in self._ingress if rule.group in target.groups]

    def public(self, subnet: str) -> bool:
        """Whether a subnet has a route to an internet gateway."""
        return any("GatewayId" in route and "Nat" not in route for route in self._routes(subnet))

    def _service_from(self, subnet: str, source: Place, service: str) -> bool:
        endpoint = self._endpoints.get(service)
        if endpoint is not None and endpoint["VpcEndpointType"] == "Gateway":
            through = self._table(subnet) in endpoint["RouteTableIds"]
            return through and self._out(source)
        if endpoint is not None:
            target = _place(endpoint["SubnetIds"], endpoint["SecurityGroupIds"])
            return bool(endpoint["PrivateDnsEnabled"]) and self.connects(source, target, HTTPS)
        if (vpc := self.network.existing) is not None:
            there = self.network.egress is Egress.NAT or service in vpc.endpoints
            return there and self._out(source)
        return self._out(source) and any(
            route.get("NatGatewayId") and self.public(self._nat[route["NatGatewayId"]])
            for route in self._routes(subnet)
        )

    def _out(self, source: Place) -> bool:
        return any(rule.group in source.groups and rule.lets(HTTPS, ANYWHERE) for rule in self._egress)

    # -- what the templates say ---------------------------------------------------------------------

    @cached_property
    def _ingress(self) -> list[Rule]:
        return list(self._rules("Ingress", "SourceSecurityGroupId"))

    @cached_property
    def _egress(self) -> list[Rule]:
        return list(self._rules("Egress", "DestinationSecurityGroupId"))

    def _rules(self, direction: str, peer: str) -> Iterator[Rule]:
        for id, properties in self.resources("AWS::EC2::SecurityGroup"):
            for rule in properties.get(f"SecurityGroup{direction}", []):
                yield _rule(id, rule, peer)
        for _, properties in self.resources(f"AWS::EC2::SecurityGroup{direction}"):
            yield _rule(_id(properties["GroupId"]), properties, peer)

    @cached_property
    def _endpoints(self) -> dict[str, Mapping[str, Any]]:
        """By the service's name, without the region before it."""
        found = [properties for _, properties in self.resources("AWS::EC2::VPCEndpoint")]
        if policed := [one["ServiceName"] for one in found if "PolicyDocument" in one]:
            raise ValueError(f"{policed[0]}: this check knows no policy of an endpoint but the default one")
        return {one["ServiceName"].partition(f"{self.account.region}.")[2]: one for one in found}

    @cached_property
    def _nat(self) -> dict[str, str]:
        """NAT gateway → its subnet. Those that somebody else made are not here."""
        found = self.resources("AWS::EC2::NatGateway")
        return {id: properties["SubnetId"] for id, properties in found}

    @cached_property
    def _tables(self) -> dict[str, str]:
        """Subnet → its route table."""
        if acls := list(self.resources("AWS::EC2::NetworkAcl")):
            raise ValueError(f"{acls[0][0]}: this check knows no network ACL but the VPC's default one")
        found = self.resources("AWS::EC2::SubnetRouteTableAssociation")
        return {properties["SubnetId"]: properties["RouteTableId"] for _, properties in found}

    def _table(self, subnet: str) -> str | None:
        vpc = self.network.existing
        given = dict(zip(vpc.subnet_ids, vpc.route_table_ids, strict=False)) if vpc else {}
        return self._tables.get(subnet) or given.get(subnet)

    def _routes(self, subnet: str) -> list[Mapping[str, Any]]:
        table = self._table(subnet)
        return [
            properties
            for _, properties in self.resources("AWS::EC2::Route")
            if properties["RouteTableId"] == table and properties.get("DestinationCidrBlock") == ANYWHERE
        ]


def _place(subnets: Sequence[str], groups: Sequence[str]) -> Place:
    return Place(tuple(subnets), tuple(map(_id, groups)))


def _id(group: str) -> str:
    """`Ref` and `GroupId` of a security group are the same."""
    return group.removesuffix("-GroupId")


def _rule(group: str, given: Mapping[str, Any], peer: str) -> Rule:
    other = given.get(peer) or given.get("CidrIp") or given.get("CidrIpv6") or ""
    if str(given.get("IpProtocol")) == "-1":
        return Rule(group, _id(other), 0, 65535)
    return Rule(group, _id(other), int(given["FromPort"]), int(given["ToPort"]))
