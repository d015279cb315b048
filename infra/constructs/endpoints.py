"""AWS's own APIs, reached from inside the VPC: without a NAT gateway nothing else is needed."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_ec2 as ec2

# Gateway endpoints cost nothing, so that they exist with a NAT gateway too: image layers (in S3) and
# the state table then don't pay for its traffic.
GATEWAYS = {
    "S3": ec2.GatewayVpcEndpointAwsService.S3,
    "DynamoDb": ec2.GatewayVpcEndpointAwsService.DYNAMODB,
}

# What a task needs to start (image, logs, secrets), the fallback broker, what the controller
# measures and moves, the agent of an EC2 instance, and ECS Exec.
INTERFACES = {
    "EcrApi": ec2.InterfaceVpcEndpointAwsService.ECR,
    "EcrDocker": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "Metrics": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_MONITORING,
    "Sqs": ec2.InterfaceVpcEndpointAwsService.SQS,
    "Ssm": ec2.InterfaceVpcEndpointAwsService.SSM,
    "SsmMessages": ec2.InterfaceVpcEndpointAwsService.SSM_MESSAGES,
    "SecretsManager": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    "Kms": ec2.InterfaceVpcEndpointAwsService.KMS,
    "Sts": ec2.InterfaceVpcEndpointAwsService.STS,
    "Ecs": ec2.InterfaceVpcEndpointAwsService.ECS,
    "EcsAgent": ec2.InterfaceVpcEndpointAwsService.ECS_AGENT,
    "EcsTelemetry": ec2.InterfaceVpcEndpointAwsService.ECS_TELEMETRY,
}


def add_gateways(vpc: ec2.Vpc) -> None:
    """The free ones, for every subnet."""
    for id, service in GATEWAYS.items():
        vpc.add_gateway_endpoint(id, service=service)


def add_interfaces(vpc: ec2.Vpc, subnets: Sequence[ec2.ISubnet], *, clients: ec2.ISecurityGroup) -> None:
    """The others, which only ``clients`` can reach, on one security group for them all."""
    group = ec2.SecurityGroup(
        vpc,
        "Endpoints",
        vpc=vpc,
        description="Interface endpoints: HTTPS from the workers",
        allow_all_outbound=False,
    )
    group.add_ingress_rule(clients, ec2.Port.tcp(443), "workers, controller and beat")
    for id, service in INTERFACES.items():
        vpc.add_interface_endpoint(
            id,
            service=service,
            subnets=ec2.SubnetSelection(subnets=list(subnets)),
            security_groups=[group],
            open=False,
        )
