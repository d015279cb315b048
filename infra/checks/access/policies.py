"""The policies of an environment: what each role may do, and what resources say themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from infra.checks.access.resolve import Account

Statement = Mapping[str, Any]

# Who is meant by a call's `caller` → (stack, how the role's or managed policy's logical id begins).
WORKER, BEAT, CONTROLLER = "worker", "beat", "controller"
PRODUCER, VIEWER, OPERATOR = "producer", "viewer", "operator"
DEPLOYER = "deployer"  # whose policy no stack makes: `infra.policies.deployer`
ROLES = {
    WORKER: ("release", "TaskRole"),
    BEAT: ("fleet", "BeatTaskRole"),
    CONTROLLER: ("fleet", "ControllerTaskRole"),
    "worker-start": ("release", "ExecutionRole"),
    "beat-start": ("fleet", "BeatExecutionRole"),
    "controller-start": ("fleet", "ControllerExecutionRole"),
}
MANAGED = {
    PRODUCER: ("fleet", "ProducerPolicy"),
    VIEWER: ("fleet", "ViewerPolicy"),
    OPERATOR: ("fleet", "OperatorPolicy"),
}


@dataclass(frozen=True)
class Policies:
    """``identity`` by who has them, ``resource`` by the ARN that they hang on; without functions."""

    identity: Mapping[str, tuple[Statement, ...]]
    resource: Mapping[str, tuple[Statement, ...]]


def of(account: Account) -> Policies:
    """All of them."""
    identity = {who: tuple(_of_role(account, *where)) for who, where in ROLES.items()}
    managed = {who: tuple(_managed(account, *where)) for who, where in MANAGED.items()}
    return Policies(identity={**identity, **managed}, resource=dict(_of_resources(account)))


def with_deployer(found: Policies, document: Mapping[str, Any]) -> Policies:
    """The same, and the policy of who deploys."""
    return replace(found, identity={**found.identity, DEPLOYER: tuple(document["Statement"])})


def _find(
    account: Account, stack: str, type: str, begins: str
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(stack, logical id, properties): the hash at a logical id's end is the CDK's."""
    for name, template in account.templates.items():
        if f"-{stack}" in name:
            for logical_id, resource in template["Resources"].items():
                if resource["Type"] == type and logical_id[:-8] == begins:
                    yield name, logical_id, resource.get("Properties", {})


def _of_role(account: Account, stack: str, begins: str) -> Iterator[Statement]:
    for name, logical_id, properties in _find(account, stack, "AWS::IAM::Role", begins):
        for inline in properties.get("Policies", []):
            yield from account.value(inline["PolicyDocument"]["Statement"], name)
        for resource in account.templates[name]["Resources"].values():
            if resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
                given = resource["Properties"]
                if {"Ref": logical_id} in given.get("Roles", []):
                    yield from account.value(given["PolicyDocument"]["Statement"], name)


def _managed(account: Account, stack: str, begins: str) -> Iterator[Statement]:
    for name, _, properties in _find(account, stack, "AWS::IAM::ManagedPolicy", begins):
        yield from account.value(properties["PolicyDocument"]["Statement"], name)


def _of_resources(account: Account) -> Iterator[tuple[str, tuple[Statement, ...]]]:
    for stack, template in account.templates.items():
        for logical_id, resource in template["Resources"].items():
            given = resource.get("Properties", {})
            if resource["Type"] == "AWS::KMS::Key":
                statements = account.value(given["KeyPolicy"]["Statement"], stack)
                yield account.arn(logical_id, "Arn", stack), tuple(statements)
            elif resource["Type"] == "AWS::SQS::QueuePolicy":
                statements = account.value(given["PolicyDocument"]["Statement"], stack)
                for queue in account.value(given["Queues"], stack):
                    yield queue, tuple(statements)
