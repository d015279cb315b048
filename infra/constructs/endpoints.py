"""AWS's own APIs, reached from inside the VPC: without a NAT gateway nothing else is needed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from infra.rules.endpoints import GATEWAYS


def add_gateways(vpc: ec2.IVpc, *, but: Collection[str] = ()) -> None:
    """The free ones, for every subnet, without those that exist (``but``)."""
    for id, service in GATEWAYS.items():
        if service not in but:
            vpc.add_gateway_endpoint(id, service=ec2.GatewayVpcEndpointAwsService(service))


def add_interfaces(
    scope: Construct,
    vpc: ec2.IVpc,
    services: Mapping[str, str],
    subnets: Sequence[ec2.ISubnet],
    *,
    clients: ec2.ISecurityGroup,
    but: Collection[str] = (),
) -> None:
    """Those of ``services``, which only ``clients`` can reach, on one security group for them all."""
    wanted = {id: service for id, service in services.items() if service not in but}
    if not wanted:
        return
    group = ec2.SecurityGroup(
        scope,
        "Endpoints",
        vpc=vpc,
        description="Interface endpoints: HTTPS from the workers",
        allow_all_outbound=False,
    )
    group.add_ingress_rule(clients, ec2.Port.tcp(443), "workers, controller and beat")
    for id, service in wanted.items():
        vpc.add_interface_endpoint(
            id,
            service=ec2.InterfaceVpcEndpointAwsService(service),
            subnets=ec2.SubnetSelection(subnets=list(subnets)),
            security_groups=[group],
            open=False,
        )
