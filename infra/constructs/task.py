"""A hardened container: every service's task definition is made here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Duration, Size
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs
from constructs import Construct
from taskfleet.contract import container as contract
from taskfleet.contract import names

from infra.checks.nag import acknowledge
from infra.constructs import secrets
from infra.constructs.roles import Roles
from infra.settings import Architecture, Capacity, Settings

# ECS Exec's agent writes here, and AWS documents no read-only root with it; mounting these makes it
# work (aws/containers-roadmap issue 1359, aws-containers/amazon-ecs-exec-checker issue 71).
_EXEC_AGENT = ("/managed-agents", "/var/lib/amazon/ssm", "/var/log/amazon/ssm")

_CPU = {Architecture.ARM64: ecs.CpuArchitecture.ARM64, Architecture.X86_64: ecs.CpuArchitecture.X86_64}


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a service runs; ``service`` is its ECS name, ``role`` the word after ``python -m taskfleet``."""

    service: str
    role: str
    variables: Mapping[str, str]
    roles: Roles
    cpu_units: int = 256
    memory_mib: int = 512
    stop_timeout_seconds: int = 30
    capacity: Capacity = Capacity.FARGATE
    port: int | None = None  # that others may connect to
    log_group: logs.ILogGroup
    image: ecs.ContainerImage


def task_definition(scope: Construct, id: str, *, settings: Settings, task: Task) -> ecs.TaskDefinition:
    """A task definition with one container: not root, nothing to write but `/tmp`, watched and logged."""
    definition = _definition(scope, id, settings, task)
    container = definition.add_container(
        contract.NAME,
        image=task.image,
        command=list(contract.command(task.role)),
        environment=dict(task.variables),
        secrets=secrets.injected(settings),
        user=contract.USER,
        readonly_root_filesystem=True,
        # Reaps what a killed child leaves behind, and passes signals on.
        linux_parameters=ecs.LinuxParameters(scope, f"{id}Linux", init_process_enabled=True),
        stop_timeout=Duration.seconds(task.stop_timeout_seconds),
        health_check=_health_check(),
        logging=_logging(task),
    )
    if task.port is not None:
        container.add_port_mappings(ecs.PortMapping(container_port=task.port))
    _mount(definition, container, settings)
    _acknowledge(definition)
    return definition


def _definition(scope: Construct, id: str, settings: Settings, task: Task) -> ecs.TaskDefinition:
    ec2 = task.capacity is Capacity.EC2
    return ecs.TaskDefinition(
        scope,
        id,
        family=names.task_family(settings.name, task.service),
        compatibility=ecs.Compatibility.EC2 if ec2 else ecs.Compatibility.FARGATE,
        network_mode=ecs.NetworkMode.AWS_VPC,
        cpu=str(task.cpu_units),
        memory_mib=str(task.memory_mib),
        task_role=task.roles.task,
        execution_role=task.roles.execution,
        # On EC2 the instance type says it.
        runtime_platform=None
        if ec2
        else ecs.RuntimePlatform(
            cpu_architecture=_CPU[settings.image.architecture],
            operating_system_family=ecs.OperatingSystemFamily.LINUX,
        ),
    )


def _health_check() -> ecs.HealthCheck:
    return ecs.HealthCheck(
        command=list(contract.HEALTH_CHECK),
        interval=Duration.seconds(30),
        timeout=Duration.seconds(10),
        retries=3,
        start_period=Duration.seconds(60),
    )


def _logging(task: Task) -> ecs.LogDriver:
    return ecs.LogDrivers.aws_logs(
        log_group=task.log_group,
        stream_prefix=task.service,
        # A slow CloudWatch Logs must not stop the tasks that log: lines past the buffer are lost.
        mode=ecs.AwsLogDriverMode.NON_BLOCKING,
        max_buffer_size=Size.mebibytes(25),
    )


def _mount(definition: ecs.TaskDefinition, container: ecs.ContainerDefinition, settings: Settings) -> None:
    for path in (contract.WRITABLE, *(_EXEC_AGENT if settings.allows_exec else ())):
        volume = path.strip("/").replace("/", "-")
        definition.add_volume(name=volume)
        container.add_mount_points(ecs.MountPoint(container_path=path, source_volume=volume, read_only=False))


def _acknowledge(definition: ecs.TaskDefinition) -> None:
    acknowledge(
        definition,
        "AwsSolutions-ECS2",
        "Names, limits and addresses, which the container can't start without; no secret is among them: the "
        "broker's password is read from Secrets Manager at run time, a team's own secrets by ECS.",
    )
