"""What an environment takes out of its account's quotas, read off its templates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.chosen import ALL
from infra.services import EC2, SPOT, Service, services
from infra.templates import Template, of_type, read


@dataclass(frozen=True, kw_only=True)
class Need:
    """One kind of thing: at rest, while a second release stands beside the first, and at full scale.

    At full scale each pool has all its workers on both brokers, as while it works off an outage.
    """

    what: str
    rest: float
    release: float
    full: float

    def __str__(self) -> str:
        if self.rest == self.release == self.full:
            return f"{self.what}: {self.rest:g}"
        return (
            f"{self.what}: {self.rest:g} at rest, {self.release:g} beside a second release, "
            f"{self.full:g} at full scale"
        )


VCPU, SPOT_VCPU = "Fargate vCPU", "Fargate Spot vCPU"
ADDRESSES, INTERFACES = "Elastic IP addresses", "network interfaces"
ALARMS, RULES = "CloudWatch alarms", "security group rules"


def needs(templates: Mapping[str, Template]) -> list[Need]:
    """Of an environment whose stacks have these templates (`infra.templates`)."""
    base = {name: one for name, one in templates.items() if not name.startswith("release-")}
    release = {name: one for name, one in templates.items() if name.startswith("release-")}

    def need(what: str, count: Callable[[Template, bool], float]) -> Need:
        rest = sum(count(one, False) for one in base.values())
        one_release = sum(count(one, False) for one in release.values())
        most = sum(count(one, True) for one in templates.values())
        return Need(what=what, rest=rest + one_release, release=rest + 2 * one_release, full=most)

    rules = max((_rules(one) for one in templates.values()), default=0)
    found = [
        need(VCPU, _vcpu),
        need(SPOT_VCPU, _spot_vcpu),
        need(ADDRESSES, lambda one, _: len(of_type(one, "AWS::EC2::EIP"))),
        need(INTERFACES, _interfaces),
        need(ALARMS, lambda one, _: len(of_type(one, "AWS::CloudWatch::Alarm"))),
        Need(what=RULES, rest=rules, release=rules, full=rules),
    ]
    return [one for one in found if one.full]


def summary(assembly: Path) -> Iterator[str]:
    """What each environment of an assembly takes of its account, one line each."""
    local = {one.name for one in ALL if one.on_this_machine}
    for stage in sorted(assembly.glob("assembly-*")):
        environment = stage.name.removeprefix("assembly-")
        if environment not in local:
            needed = "; ".join(str(one) for one in needs(read(stage)))
            yield f"{environment} needs {needed} (make preflight ENV={environment} compares)"


def _vcpu(template: Template, full: bool) -> float:
    """On demand. A pool on Spot has its least there (`infra.constructs.capacity`) and a fifth of the rest."""
    return sum(one.cpu_units / 1024 * _on_demand(one, full) for one in services(template))


def _spot_vcpu(template: Template, full: bool) -> float:
    return sum(
        one.cpu_units / 1024 * (_count(one, full) - _on_demand(one, full))
        for one in services(template)
        if one.capacity == SPOT
    )


def _on_demand(service: Service, full: bool) -> float:
    if service.capacity == EC2:
        return 0
    if service.capacity == SPOT:
        return service.least
    return _count(service, full)


def _count(service: Service, full: bool) -> int:
    return service.most if full else service.least


def _interfaces(template: Template, full: bool) -> float:
    """One for each task (awsvpc), cache node and NAT gateway, and for an endpoint one in each subnet."""
    tasks = sum(_count(one, full) for one in services(template))
    groups = of_type(template, "AWS::ElastiCache::ReplicationGroup").values()
    endpoints = of_type(template, "AWS::EC2::VPCEndpoint").values()
    return (
        tasks
        + sum(int(group["NumCacheClusters"]) for group in groups)
        + len(of_type(template, "AWS::EC2::NatGateway"))
        + sum(len(endpoint.get("SubnetIds", ())) for endpoint in endpoints)
    )


def _rules(template: Template) -> int:
    """Most rules, of one direction, of a security group; those that are resources of their own included."""
    separate = of_type(template, "AWS::EC2::SecurityGroupIngress").values()
    return max(
        (
            len(group.get("SecurityGroupIngress", ()))
            + sum(1 for rule in separate if rule["GroupId"] == {"Fn::GetAtt": [name, "GroupId"]})
            for name, group in of_type(template, "AWS::EC2::SecurityGroup").items()
        ),
        default=0,
    )
