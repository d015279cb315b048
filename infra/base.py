"""How the stacks find each other: what the long-lived ones publish, and how a release looks it up.

A release stack never imports a CloudFormation export: an old release would then lock the base. It
reads SSM parameters, whose names are `taskfleet.contract.parameters.base`.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ssm as ssm
from taskfleet.contract import parameters

from infra.settings import Settings


def stateful(settings: Settings) -> cdk.RemovalPolicy:
    """What happens to a resource with data in it when its stack goes."""
    return cdk.RemovalPolicy.RETAIN if settings.keep_data else cdk.RemovalPolicy.DESTROY


def publish(stack: cdk.Stack, settings: Settings, name: str, value: str) -> ssm.StringParameter:
    """Write one value for the release stacks; ``name`` is one of `parameters.BASE`."""
    return ssm.StringParameter(
        stack,
        f"Base-{name}",
        parameter_name=parameters.base(settings.name, name),
        string_value=value,
        description="Read by the release stacks of this environment.",
    )


def publish_list(stack: cdk.Stack, settings: Settings, name: str, values: list[str]) -> ssm.StringParameter:
    """The same for a list, joined by commas."""
    return publish(stack, settings, name, cdk.Fn.join(",", values))


def lookup(stack: cdk.Stack, settings: Settings, name: str) -> str:
    """One value that a long-lived stack published, as a token: CloudFormation reads it at each deploy."""
    return ssm.StringParameter.value_for_string_parameter(stack, parameters.base(settings.name, name))


def lookup_list(stack: cdk.Stack, settings: Settings, name: str, *, length: int) -> list[str]:
    """A published list of known length, as tokens."""
    joined = cdk.Fn.split(",", lookup(stack, settings, name))
    return [cdk.Fn.select(index, joined) for index in range(length)]


def lookup_vpc(stack: cdk.Stack, settings: Settings) -> ec2.IVpc:
    """The environment's VPC with its private subnets; made once per stack."""
    existing = stack.node.try_find_child("Vpc")
    if existing is not None:
        return existing  # type: ignore[return-value]  # the child of that name is what is made below
    zones = settings.network.availability_zones
    vpc = ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        # A dynamic reference, not `lookup`: it leaves no parameter where nothing needs the id itself.
        vpc_id=cdk.CfnDynamicReference(
            cdk.CfnDynamicReferenceService.SSM, parameters.base(settings.name, "vpc-id")
        ).to_string(),
        # From the settings, not looked up: a zone's name must be known when subnets are chosen.
        availability_zones=list(zones),
        private_subnet_ids=lookup_list(stack, settings, "private-subnet-ids", length=len(zones)),
    )
    cdk.Annotations.of(vpc).acknowledge_warning(
        "@aws-cdk/aws-ec2:noSubnetRouteTableId", "a release adds no routes to the network"
    )
    return vpc
