"""The network of an environment: private subnets, their way to AWS's APIs, and the encryption key.

In a VPC of its own, or in one that exists: to that it adds the workers' security group and the endpoints that
the settings don't name, and nothing else.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.base import EnvironmentStack, publish, publish_list
from infra.constructs.endpoints import add_gateways, add_interfaces
from infra.constructs.environment import scraped_port
from infra.constructs.key import environment_key
from infra.constructs.log_groups import log_group
from infra.constructs.roles import service_principal
from infra.constructs.vpc import existing_vpc, peer
from infra.rules.endpoints import interfaces
from infra.settings import Egress, Settings

PRIVATE = "private"


class NetworkStack(EnvironmentStack):
    """``vpc``, its ``private_subnets``, the ``key`` of the environment and the workers' security group."""

    vpc: ec2.IVpc
    private_subnets: list[ec2.ISubnet]
    key: kms.Key
    worker_security_group: ec2.SecurityGroup

    def __init__(self, scope: Construct, id: str, *, settings: Settings, protected: bool) -> None:
        super().__init__(
            scope,
            id,
            settings=settings,
            description="network and encryption key",
            protected=protected,
        )
        self.key = environment_key(self, settings)
        self.vpc = existing_vpc(self, settings) or _vpc(self, settings)
        self.private_subnets = list(self.vpc.private_subnets or self.vpc.isolated_subnets)
        self.worker_security_group = ec2.SecurityGroup(
            self,
            "Workers",
            vpc=self.vpc,
            # Another description would be another group.
            description="Workers, controller and beat: nothing comes in",
            allow_all_outbound=True,
        )
        self._admit_scrapers(settings)
        if isinstance(self.vpc, ec2.Vpc):  # an existing one is watched by whoever made it
            _log_flows(self.vpc, self.key, settings)
        self._endpoints(settings)
        self._publish(settings)

    def _admit_scrapers(self, settings: Settings) -> None:
        """On the group that all have, so that a change reaches releases that run, and costs none of five."""
        if port := scraped_port(settings):
            for one in settings.metrics_from:
                self.worker_security_group.add_ingress_rule(
                    peer(one), ec2.Port.tcp(port), "metrics_from in the settings"
                )

    def _endpoints(self, settings: Settings) -> None:
        network = settings.network
        there = network.existing.endpoints if network.existing else ()
        if network.existing is None or network.existing.knows_route_tables:
            add_gateways(self.vpc, but=there)
        if network.egress is Egress.ENDPOINTS:
            add_interfaces(
                self,
                self.vpc,
                interfaces(settings),
                self.private_subnets,
                clients=self.worker_security_group,
                but=there,
            )

    def _publish(self, settings: Settings) -> None:
        publish(self, settings, "vpc-id", self.vpc.vpc_id)
        publish_list(
            self, settings, "private-subnet-ids", [subnet.subnet_id for subnet in self.private_subnets]
        )
        publish_list(self, settings, "availability-zones", list(settings.network.availability_zones))
        publish(self, settings, "worker-security-group-id", self.worker_security_group.security_group_id)
        publish(self, settings, "key-arn", self.key.key_arn)
        cdk.CfnOutput(
            self,
            "WorkerSecurityGroupId",
            value=self.worker_security_group.security_group_id,
            description="Workers, controller and beat; what they must reach admits it: docs/network.md",
        )


def _vpc(stack: cdk.Stack, settings: Settings) -> ec2.Vpc:
    network = settings.network
    nat = network.egress is Egress.NAT
    private = ec2.SubnetConfiguration(
        name=PRIVATE,
        cidr_mask=20,
        subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS if nat else ec2.SubnetType.PRIVATE_ISOLATED,
    )
    # Only NAT gateways live here. Private first, so that its ranges stay when the setting changes.
    public = ec2.SubnetConfiguration(
        name="public", cidr_mask=24, subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=False
    )
    return ec2.Vpc(
        stack,
        "Vpc",
        ip_addresses=ec2.IpAddresses.cidr(str(network.block)),
        # Named zones: counting them would make synth ask AWS which there are.
        availability_zones=list(network.availability_zones),
        subnet_configuration=[private, public] if nat else [private],
        nat_gateways=network.nat_gateways if nat else 0,
        # Needs a Lambda as a custom resource; on this machine there is no group to protect.
        restrict_default_security_group=not settings.on_this_machine,
    )


def _log_flows(vpc: ec2.Vpc, key: kms.Key, settings: Settings) -> None:
    group = log_group(vpc, "FlowLogGroup", key=key, retention_days=settings.network.flow_log_retention_days)
    principal = service_principal(vpc, "vpc-flow-logs.amazonaws.com", service="ec2")
    role = iam.Role(vpc, "FlowLogRole", assumed_by=principal)
    vpc.add_flow_log("FlowLog", destination=ec2.FlowLogDestination.to_cloud_watch_logs(group, role))
