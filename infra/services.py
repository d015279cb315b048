"""The ECS services that a template asks for: how many tasks of which size, at rest and at most."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from taskfleet.contract import names
from taskfleet.contract.manifest import ReleaseManifest

from infra.templates import Resource, Template, of_type

ON_DEMAND, SPOT, EC2 = "FARGATE", "FARGATE_SPOT", "EC2"


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service: its tasks' size, and how many it runs at rest and at most."""

    name: str
    cpu_units: int
    memory_mib: int
    architecture: str  # X86_64 or ARM64
    provider: str  # its first capacity provider, if it names one
    capacity: str  # ON_DEMAND, SPOT (a part of it) or EC2
    base: int  # with SPOT: so many are on demand before any is on Spot …
    share: float  # … and this part of the others
    least: int
    most: int

    def on_demand(self, count: int) -> int:
        """How many of so many tasks are on Fargate on demand."""
        if self.capacity == EC2:
            return 0
        if self.capacity == ON_DEMAND or count <= self.base:
            return count
        return self.base + math.ceil((count - self.base) * self.share)


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
        base, share = _on_demand(service)
        yield Service(
            name=str(service.get("ServiceName", "")),
            cpu_units=int(task["Cpu"]),
            memory_mib=int(task["Memory"]),
            architecture=task.get("RuntimePlatform", {}).get("CpuArchitecture", "X86_64"),
            provider=next(iter(_providers(service)), ""),
            capacity=_capacity(service, task),
            base=base,
            share=share,
            least=least,
            most=max(least, int(target.get("MaxCapacity", least))),
        )


def _capacity(service: Resource, task: Resource) -> str:
    if "FARGATE" not in task.get("RequiresCompatibilities", ()):
        return EC2
    return SPOT if SPOT in _providers(service) else ON_DEMAND


def _providers(service: Resource) -> list[str]:
    return [str(item["CapacityProvider"]) for item in service.get("CapacityProviderStrategy", ())]


def instance_types(template: Template) -> dict[str, str]:
    """The instance type of each capacity provider on EC2, by its name."""
    groups = of_type(template, "AWS::AutoScaling::AutoScalingGroup")
    launched = of_type(template, "AWS::EC2::LaunchTemplate")
    found = {}
    for provider in of_type(template, "AWS::ECS::CapacityProvider").values():
        group = groups[provider["AutoScalingGroupProvider"]["AutoScalingGroupArn"]["Ref"]]
        made = launched[group["LaunchTemplate"]["LaunchTemplateId"]["Ref"]]
        found[str(provider["Name"])] = str(made["LaunchTemplateData"]["InstanceType"])
    return found


def _on_demand(service: Resource) -> tuple[int, float]:
    strategy: list[Mapping[str, Any]] = service.get("CapacityProviderStrategy", [])
    own = [one for one in strategy if one["CapacityProvider"] == ON_DEMAND]
    weights = sum(int(one.get("Weight", 0)) for one in strategy)
    base = sum(int(one.get("Base", 0)) for one in own)
    return base, sum(int(one.get("Weight", 0)) for one in own) / weights if weights else 1.0


def before_gate(template: Template) -> Service | None:
    """The service whose tasks' definition its command before the gate runs with; None without one."""
    for parameter in of_type(template, "AWS::SSM::Parameter").values():
        if "/releases/" not in str(parameter["Name"]):  # `taskfleet.contract.parameters.release_manifest`
            continue
        manifest = ReleaseManifest.from_json(_text(parameter["Value"]))
        if manifest.before_gate is not None:
            wanted = names.service(manifest.before_gate.pool, manifest.release)
            return next(one for one in services(template) if one.name == wanted)
    return None


def _text(value: Any) -> str:
    """Of a joined one without what CloudFormation puts in."""
    if isinstance(value, str):
        return value
    return "".join(part for part in value["Fn::Join"][1] if isinstance(part, str))
