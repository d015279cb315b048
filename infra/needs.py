"""What an environment takes out of its account's quotas and its subnets, read off its templates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path

from infra.chosen import ALL
from infra.rules.capacity import vcpus
from infra.services import EC2, ON_DEMAND, SPOT, Service, before_gate, instance_types, services
from infra.templates import Template, of_type, read


@dataclass(frozen=True, kw_only=True)
class Need:
    """One kind of thing, by when it is taken.

    At rest; while the first release runs its command before the gate; in that release's gate, which wakes
    what sleeps, its workers on SQS among them; in the gate of a second release beside the first; and at full
    scale, where each pool has all its workers on both brokers, as while it works off an outage.
    """

    what: str
    rest: float
    before: float
    gate: float
    release: float
    full: float

    @classmethod
    def steady(cls, what: str, count: float) -> Need:
        """Of which the same is taken at all times."""
        return cls(what=what, rest=count, before=count, gate=count, release=count, full=count)

    def __str__(self) -> str:
        if self == Need.steady(self.what, self.rest):
            return f"{self.what}: {self.rest:g}"
        times = {
            "at rest": self.rest,
            "with its command before the gate": self.before,
            "in a first release's gate": self.gate,
            "with a second release beside the first": self.release,
            "at full scale": self.full,
        }
        more, so_far = [], 0.0
        for when, count in times.items():
            if count > so_far:
                more.append(f"{count:g} {when}")
                so_far = count
        return f"{self.what}: {', '.join(more)}"

    @property
    def most(self) -> float:
        """At any time."""
        return max(self.release, self.full)


VCPU, SPOT_VCPU, EC2_VCPU = "Fargate vCPU", "Fargate Spot vCPU", "EC2 vCPU"
VPCS, ADDRESSES, INTERFACES = "VPCs", "Elastic IP addresses", "network interfaces"
ALARMS, RULES = "CloudWatch alarms", "security group rules"
IN_A_SUBNET = "addresses in each subnet"


class _When(Enum):
    REST = auto()
    BEFORE = auto()
    GATE = auto()
    FULL = auto()


_Count = Callable[[Template, _When], float]


def needs(templates: Mapping[str, Template]) -> list[Need]:
    """Of an environment whose stacks have these templates (`infra.templates`)."""
    rules = max((_rules(one) for one in templates.values()), default=0)
    found = [
        _need(templates, VCPU, _vcpu),
        _need(templates, SPOT_VCPU, _spot_vcpu),
        _need(templates, EC2_VCPU, _ec2_vcpu(templates)),
        _need(templates, VPCS, lambda one, _: len(of_type(one, "AWS::EC2::VPC"))),
        _need(templates, ADDRESSES, lambda one, _: len(of_type(one, "AWS::EC2::EIP"))),
        _need(templates, INTERFACES, _interfaces),
        _need(templates, ALARMS, lambda one, _: len(of_type(one, "AWS::CloudWatch::Alarm"))),
        Need.steady(RULES, rules),
    ]
    return [one for one in found if one.full]


def in_a_subnet(templates: Mapping[str, Template], zones: int) -> Need:
    """The addresses that are taken in each of the private subnets, one in each of so many zones."""

    def count(template: Template, when: _When) -> float:
        # What AWS spreads over the zones it spreads for each service on its own.
        return sum(math.ceil(many / zones) for many in _spread(template, when)) + len(_endpoints(template))

    return _need(templates, IN_A_SUBNET, count)


def summary(assembly: Path) -> Iterator[str]:
    """What each environment of an assembly takes of its account, one line each."""
    local = {one.name for one in ALL if one.on_this_machine}
    for stage in sorted(assembly.glob("assembly-*")):
        environment = stage.name.removeprefix("assembly-")
        if environment not in local:
            needed = "; ".join(str(one) for one in needs(read(stage)))
            yield f"{environment} needs {needed} (make preflight ENV={environment} compares)"


def _need(templates: Mapping[str, Template], what: str, count: _Count) -> Need:
    base = [one for name, one in templates.items() if not name.startswith("release-")]
    release = [one for name, one in templates.items() if name.startswith("release-")]

    def at(when: _When) -> float:
        return sum(count(one, _When.REST) for one in base) + sum(count(one, when) for one in release)

    rest, before = at(_When.REST), at(_When.BEFORE)
    gate = max(before, at(_When.GATE))
    return Need(
        what=what,
        rest=rest,
        before=before,
        gate=gate,
        release=gate + sum(count(one, _When.REST) for one in release),
        full=sum(count(one, _When.FULL) for one in templates.values()),
    )


def _tasks(template: Template, when: _When) -> Iterator[tuple[Service, int]]:
    """What runs then: the tasks of each service, and a command before the gate, which is never on Spot."""
    for one in services(template):
        match when:
            case _When.FULL:
                yield one, one.most
            case _When.GATE:
                yield one, max(1, one.least)
            case _:
                yield one, one.least
    if when is _When.BEFORE and (command := before_gate(template)) is not None:
        yield replace(command, capacity=EC2 if command.capacity == EC2 else ON_DEMAND), 1


def _vcpu(template: Template, when: _When) -> float:
    return sum(one.cpu_units / 1024 * one.on_demand(many) for one, many in _tasks(template, when))


def _spot_vcpu(template: Template, when: _When) -> float:
    return sum(
        one.cpu_units / 1024 * (many - one.on_demand(many))
        for one, many in _tasks(template, when)
        if one.capacity == SPOT
    )


def _ec2_vcpu(templates: Mapping[str, Template]) -> _Count:
    """At worst each task has an instance to itself."""
    types = {name: type for one in templates.values() for name, type in instance_types(one).items()}

    def count(template: Template, when: _When) -> float:
        return sum(
            many * vcpus(types[one.provider]) for one, many in _tasks(template, when) if one.capacity == EC2
        )

    return count


def _interfaces(template: Template, when: _When) -> float:
    """Each NAT gateway has one too, and an endpoint one in each of its subnets."""
    in_subnets = sum(len(subnets) for subnets in _endpoints(template))
    return sum(_spread(template, when)) + len(of_type(template, "AWS::EC2::NatGateway")) + in_subnets


def _spread(template: Template, when: _When) -> Iterator[int]:
    """The interfaces of what AWS spreads over the zones: each task (awsvpc) and each node of a cache.

    On instances at worst each task has one to itself, which has an interface of its own.
    """
    for one, many in _tasks(template, when):
        yield many * 2 if one.capacity == EC2 else many
    for group in of_type(template, "AWS::ElastiCache::ReplicationGroup").values():
        yield int(group["NumCacheClusters"])


def _endpoints(template: Template) -> list[list[object]]:
    """The subnets of each interface endpoint; a gateway endpoint has none, and takes no address."""
    found = of_type(template, "AWS::EC2::VPCEndpoint").values()
    return [one["SubnetIds"] for one in found if one.get("SubnetIds")]


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
