"""The ECS services that a template asks for: how many tasks of which size, at rest and at most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infra.templates import Resource, Template, of_type

ON_DEMAND, SPOT, EC2 = "FARGATE", "FARGATE_SPOT", "EC2"


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service: its tasks' size, and how many it runs at rest and at most."""

    cpu_units: int
    memory_mib: int
    architecture: str  # X86_64 or ARM64
    capacity: str  # ON_DEMAND, SPOT (beyond the pool's least) or EC2
    least: int
    most: int


def services(template: Template) -> Iterator[Service]:
    """Every service of a template."""
    tasks = of_type(template, "AWS::ECS::TaskDefinition")
    targets = {
        target["ResourceId"].rpartition("/")[2]: target
        for target in of_type(template, "AWS::ApplicationAutoScaling::ScalableTarget").values()
    }
    for service in of_type(template, "AWS::ECS::Service").values():
        task = tasks[service["TaskDefinition"]["Ref"]]
        target = targets.get(service.get("ServiceName", ""), {})
        # Where scaling alone says how many, it keeps its least at rest.
        least = int(service.get("DesiredCount", target.get("MinCapacity", 1)))
        yield Service(
            cpu_units=int(task["Cpu"]),
            memory_mib=int(task["Memory"]),
            architecture=task.get("RuntimePlatform", {}).get("CpuArchitecture", "X86_64"),
            capacity=_capacity(service, task),
            least=least,
            most=max(least, int(target.get("MaxCapacity", least))),
        )


def _capacity(service: Resource, task: Resource) -> str:
    if "FARGATE" not in task.get("RequiresCompatibilities", ()):
        return EC2
    providers = [item["CapacityProvider"] for item in service.get("CapacityProviderStrategy", ())]
    return SPOT if SPOT in providers else ON_DEMAND
