"""A VPC that exists: its private subnets, as the settings name them or as AWS answers the CDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from taskfleet.errors import SettingsError

from infra.rules.existing import is_group
from infra.settings import ExistingVpc, Settings


def existing_vpc(stack: cdk.Stack, settings: Settings) -> ec2.IVpc | None:
    """The settings' own, or None. Asks AWS (through the CDK's context) only where they say `subnet_tag`."""
    given, zones = settings.network.existing, settings.network.availability_zones
    if given is None:
        return None
    subnets, tables = list(given.subnet_ids), list(given.route_table_ids)
    if given.subnet_tag is not None:
        found = _looked_up(stack, given, given.subnet_tag, zones)
        subnets = [one["subnetId"] for one in found]
        tables = [one["routeTableId"] for one in found]
    vpc = ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        vpc_id=given.id,
        availability_zones=list(zones),
        private_subnet_ids=subnets,
        private_subnet_route_table_ids=tables or None,
    )
    if not given.knows_route_tables:
        cdk.Annotations.of(vpc).acknowledge_warning(
            "@aws-cdk/aws-ec2:noSubnetRouteTableId", "no route is added to it, and no gateway endpoint"
        )
    return vpc


def peer(given: str) -> ec2.IPeer:
    """A security group's id or a range of addresses, as settings name who may connect."""
    return ec2.Peer.security_group_id(given) if is_group(given) else ec2.Peer.ipv4(given)


def _looked_up(stack: cdk.Stack, vpc: ExistingVpc, tag: str, zones: Sequence[str]) -> list[Mapping[str, Any]]:
    """The subnet of each zone that carries the tag. Until the command line has asked AWS, made-up ones."""
    key, _, value = tag.partition("=")
    answer = cdk.ContextProvider.get_value(
        stack,
        provider="vpc-provider",
        props={"filter": {"vpc-id": vpc.id}, "returnAsymmetricSubnets": True, "subnetGroupNameTag": key},
        dummy_value={"subnetGroups": [{"name": value, "subnets": [_made_up(zone) for zone in zones]}]},
    ).value
    found = [
        subnet
        for group in answer["subnetGroups"]
        if group["name"] == value
        for subnet in group["subnets"]
        if subnet["availabilityZone"] in zones
    ]
    by_zone = {subnet["availabilityZone"]: subnet for subnet in found}
    if len(found) != len(zones) or len(by_zone) != len(zones):
        there = ", ".join(f"{one['subnetId']} in {one['availabilityZone']}" for one in found) or "none"
        raise SettingsError(
            f"network.existing.subnet_tag = {tag!r}: one subnet of {vpc.id} with this tag in each of "
            f"{', '.join(zones)} is needed; found: {there}. Fix: tag them so, name the zones that have one, "
            "or give subnet_ids. What AWS answered is kept in cdk.context.json: `cdk context --clear` "
            "forgets it."
        )
    return [by_zone[zone] for zone in zones]


def _made_up(zone: str) -> dict[str, str]:
    return {"subnetId": "subnet-00000000", "availabilityZone": zone, "routeTableId": "rtb-00000000"}
