"""What a pool's workers run on: Fargate, Fargate with Spot, or its own instances."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct
from taskfleet.contract import names

from infra.checks.nag import acknowledge
from infra.constructs.scaling import max_fallback_workers
from infra.settings import Architecture, Capacity, Pool, Settings

SPOT_SHARE = 4  # of five workers above the base; the fifth keeps the pool going when Spot runs dry

_JOIN = (
    "ecs:RegisterContainerInstance",
    "ecs:DeregisterContainerInstance",
    "ecs:SubmitAttachmentStateChanges",
    "ecs:SubmitContainerStateChange",
    "ecs:SubmitTaskStateChange",
)

_HARDWARE = {Architecture.ARM64: ecs.AmiHardwareType.ARM, Architecture.X86_64: ecs.AmiHardwareType.STANDARD}


def strategies(settings: Settings, pool: Pool) -> list[ecs.CapacityProviderStrategy]:
    """The capacity provider strategy of the pool's services; none for plain Fargate."""
    if pool.capacity is Capacity.FARGATE:
        return []
    if pool.capacity is Capacity.EC2:
        own = names.capacity_provider(settings.name, pool.name)
        return [ecs.CapacityProviderStrategy(capacity_provider=own, weight=1)]
    return [
        ecs.CapacityProviderStrategy(capacity_provider="FARGATE", base=max(1, pool.min_workers), weight=1),
        ecs.CapacityProviderStrategy(capacity_provider="FARGATE_SPOT", weight=SPOT_SHARE),
    ]


def _user_data() -> ec2.UserData:
    """The hop limit keeps bridged containers from the instance's credentials, this those with an address."""
    data = ec2.UserData.for_linux()
    data.add_commands("echo ECS_AWSVPC_BLOCK_IMDS=true >> /etc/ecs/ecs.config")
    return data


class Instances(Construct):
    """An Auto Scaling group behind a capacity provider, which adds, drains and ends the instances.

    It belongs to the cluster, not to a release: blue and green share it while one takes over.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        pool: Pool,
        vpc: ec2.IVpc,
        subnets: list[ec2.ISubnet],
        security_group: ec2.ISecurityGroup,
    ) -> None:
        super().__init__(scope, id)
        template = self._template(settings, pool, security_group)
        self.group = autoscaling.AutoScalingGroup(
            self,
            "Group",
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnets=subnets),
            launch_template=template,
            min_capacity=0,
            # One worker per instance at worst, blue and green side by side.
            max_capacity=2 * (pool.max_workers + max_fallback_workers(pool)),
            new_instances_protected_from_scale_in=True,
        )
        acknowledge(
            self.group,
            "AwsSolutions-AS3",
            "Instances come and go with the pool's workers, many times a day; what a person must know is "
            "alarmed on the queue (backlog-old, no-worker).",
        )
        self.provider = ecs.AsgCapacityProvider(
            self,
            "Provider",
            capacity_provider_name=names.capacity_provider(settings.name, pool.name),
            auto_scaling_group=self.group,
            enable_managed_scaling=True,
            enable_managed_termination_protection=True,
            enable_managed_draining=True,
        )

    def _template(
        self, settings: Settings, pool: Pool, security_group: ec2.ISecurityGroup
    ) -> ec2.LaunchTemplate:
        role = self._role(settings)
        return ec2.LaunchTemplate(
            self,
            "Template",
            instance_type=ec2.InstanceType(pool.instance_type),
            # The image's id is an SSM parameter of AWS's, read by CloudFormation at each deploy.
            machine_image=ecs.EcsOptimizedImage.amazon_linux2023(_HARDWARE[settings.image.architecture]),
            # The CDK would add `ecs:Submit*`, and more on every resource.
            role=role.without_policy_updates(),
            user_data=_user_data(),
            security_group=security_group,
            require_imdsv2=True,
            http_put_response_hop_limit=1,
            associate_public_ip_address=False,
            detailed_monitoring=True,
            block_devices=[
                ec2.BlockDevice(
                    device_name="/dev/xvda",
                    volume=ec2.BlockDeviceVolume.ebs(
                        50, encrypted=True, volume_type=ec2.EbsDeviceVolumeType.GP3
                    ),
                )
            ],
        )

    def _role(self, settings: Settings) -> iam.Role:
        """What ECS's agent needs to bring an instance into the cluster; containers have their own roles."""
        role = iam.Role(self, "InstanceRole", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        stack, cluster = Stack.of(self), names.cluster(settings.name)
        itself = stack.format_arn(service="ecs", resource="cluster", resource_name=cluster)
        members = stack.format_arn(service="ecs", resource="container-instance", resource_name=f"{cluster}/*")
        for sid, actions, resource in (
            ("Join", _JOIN, itself),
            ("Work", ("ecs:Poll", "ecs:StartTelemetrySession"), members),
            ("FindEcs", ("ecs:DiscoverPollEndpoint",), "*"),
        ):
            role.add_to_policy(iam.PolicyStatement(sid=sid, actions=list(actions), resources=[resource]))
        acknowledge(
            role,
            f"AwsSolutions-IAM5[Resource::{members}]",
            "An instance's id in the cluster is not known before it joined.",
        )
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::*]",
            "ecs:DiscoverPollEndpoint has no resource-level permission.",
        )
        return role
