"""How the stacks find each other: what the long-lived ones publish, and how those after them look it up.

By SSM parameters, whose names are `taskfleet.contract.parameters.base`. Not by CloudFormation exports: what
is imported can't change, so that an old release would lock the base. Nor by the CDK's weak references: with
those the template of the reader stays the same when the value changes, and its deploy is skipped.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_ssm as ssm
from constructs import Construct
from taskfleet.contract import names, parameters

from infra.settings import Settings


class EnvironmentStack(cdk.Stack):
    """A stack of an environment: its name, and the tags that say whose it is."""

    def __init__(
        self, scope: Construct, id: str, *, settings: Settings, description: str, protected: bool = False
    ) -> None:
        super().__init__(
            scope,
            id,
            stack_name=names.stack(settings.name, id),
            description=f"Taskfleet {settings.name}: {description}",
            tags=names.stack_tags(settings.name, settings.owner),
            termination_protection=protected,
            synthesizer=cdk.DefaultStackSynthesizer(qualifier=settings.bootstrap_qualifier),
        )


def stateful(settings: Settings) -> cdk.RemovalPolicy:
    """What happens to a resource with data in it when its stack goes."""
    # A create that fails half-way takes it back: its names are free for the next try.
    return cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if settings.keep_data else cdk.RemovalPolicy.DESTROY


def publish(stack: cdk.Stack, settings: Settings, name: str, value: str) -> ssm.StringParameter:
    """Write one value for the stacks that come after; ``name`` is one of `parameters.BASE`."""
    return ssm.StringParameter(
        stack,
        f"Base-{name}",
        parameter_name=parameters.base(settings.name, name),
        string_value=value,
        description="Read by the later stacks of this environment.",
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


def lookup_key(stack: cdk.Stack, settings: Settings) -> kms.IKey:
    """The environment's key, by its ARN: so the CDK adds nothing to its policy. Made once per stack."""
    existing = stack.node.try_find_child("Key")
    if existing is not None:
        return existing  # type: ignore[return-value]  # the child of that name is what is made below
    return kms.Key.from_key_arn(stack, "Key", lookup(stack, settings, "key-arn"))


def lookup_workers(stack: cdk.Stack, settings: Settings) -> ec2.ISecurityGroup:
    """The workers' security group, which only the network's stack changes. Made once per stack."""
    existing = stack.node.try_find_child("WorkerSecurityGroup")
    if existing is not None:
        return existing  # type: ignore[return-value]  # the child of that name is what is made below
    group = lookup(stack, settings, "worker-security-group-id")
    return ec2.SecurityGroup.from_security_group_id(stack, "WorkerSecurityGroup", group, mutable=False)


def lookup_vpc(stack: cdk.Stack, settings: Settings, *, vpc_id: str | None = None) -> ec2.IVpc:
    """The environment's VPC with its private subnets; made once per stack.

    ``vpc_id`` is `lookup`'s, where a resource has it as a property.
    """
    existing = stack.node.try_find_child("Vpc")
    if existing is not None:
        return existing  # type: ignore[return-value]  # the child of that name is what is made below
    zones = settings.network.availability_zones
    vpc = ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        # A dynamic reference leaves no parameter behind where nothing needs the id itself.
        vpc_id=vpc_id
        or cdk.CfnDynamicReference(
            cdk.CfnDynamicReferenceService.SSM, parameters.base(settings.name, "vpc-id")
        ).to_string(),
        # From the settings, not looked up: a zone's name must be known when subnets are chosen.
        availability_zones=list(zones),
        private_subnet_ids=lookup_list(stack, settings, "private-subnet-ids", length=len(zones)),
    )
    cdk.Annotations.of(vpc).acknowledge_warning(
        "@aws-cdk/aws-ec2:noSubnetRouteTableId", "only the network's own stack adds routes to it"
    )
    return vpc
