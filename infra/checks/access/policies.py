"""The policies of an environment: what each role may do, and what resources say themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data

from infra.checks.access import bootstrap
from infra.checks.access.resolve import Account
from infra.policies import deployer
from infra.settings import Settings

Statement = Mapping[str, Any]

# Who is meant by a call's `caller` → (stack, how the role's or managed policy's logical id begins).
WORKER, BEAT, CONTROLLER = "worker", "beat", "controller"
PRODUCER, VIEWER, OPERATOR = "producer", "viewer", "operator"
DEPLOYER = "deployer"  # whose policy no stack of ours makes, nor those of the roles in `bootstrap.ROLES`
ROLES = {
    WORKER: ("release", "TaskRole"),
    BEAT: ("release", "BeatTaskRole"),
    CONTROLLER: ("fleet", "ControllerTaskRole"),
    "worker-start": ("release", "ExecutionRole"),
    "controller-start": ("fleet", "ControllerExecutionRole"),
}
MANAGED = {
    PRODUCER: ("fleet", "ProducerPolicy"),
    VIEWER: ("fleet", "ViewerPolicy"),
    OPERATOR: ("fleet", "OperatorPolicy"),
}

# As `infra.constructs.pool` calls them; a pool's name is in lower case.
POOL_ROLE = re.compile(r"Pool([a-z0-9]+)TaskRole[0-9A-F]{8}")


@dataclass(frozen=True)
class Policies:
    """``identity`` by who has them, ``resource`` by the ARN that they hang on; without functions."""

    identity: Mapping[str, tuple[Statement, ...]]
    resource: Mapping[str, tuple[Statement, ...]]


def of(account: Account, settings: Settings) -> Policies:
    """All of them: the stacks', who deploys', and those of the CDK's bootstrap."""
    found, theirs = _of_stacks(account), _of_bootstrap(bootstrap.account(settings))
    who_deploys = {DEPLOYER: tuple(deployer.document(settings)["Statement"])}
    return Policies(
        identity={**found.identity, **theirs.identity, **who_deploys},
        resource={**found.resource, **theirs.resource},
    )


def _of_stacks(account: Account) -> Policies:
    identity = {who: tuple(_of_role(account, *where)) for who, where in ROLES.items()}
    pools = {f"{WORKER} {name}": tuple(_of_role_named(account, *where)) for name, where in _pools(account)}
    managed = {who: tuple(_managed(account, *where)) for who, where in MANAGED.items()}
    return Policies(identity={**identity, **pools, **managed}, resource=dict(_of_resources(account)))


def _pools(account: Account) -> Iterator[tuple[str, tuple[str, str]]]:
    """(pool, (stack, its role's logical id)) for each pool with one of its own."""
    for stack, template in account.templates.items():
        for logical_id, resource in template["Resources"].items():
            if resource["Type"] == "AWS::IAM::Role" and (own := POOL_ROLE.fullmatch(logical_id)):
                yield own[1], (stack, logical_id)


def _of_bootstrap(of: Account) -> Policies:
    """What its roles may do, and who may assume them."""
    (template,) = of.templates.values()
    roles = {who: tuple(_of_role_named(of, bootstrap.STACK, name)) for who, name in bootstrap.ROLES.items()}
    trusts = {
        of.arn(name, "Arn", bootstrap.STACK): tuple(
            of.value(resource["Properties"]["AssumeRolePolicyDocument"]["Statement"], bootstrap.STACK)
        )
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::IAM::Role"
    }
    return Policies(identity=roles, resource=trusts)


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
    for name, logical_id, _ in _find(account, stack, "AWS::IAM::Role", begins):
        yield from _of_role_named(account, name, logical_id)


def _of_role_named(account: Account, stack: str, logical_id: str) -> Iterator[Statement]:
    """Of a policy of AWS's own the statements that moto knows; another account's policy is not known here."""
    resources = account.templates[stack]["Resources"]
    properties = resources[logical_id]["Properties"]
    for inline in properties.get("Policies", []):
        yield from account.value(inline["PolicyDocument"]["Statement"], stack)
    for arn in account.value(properties.get("ManagedPolicyArns", []), stack):
        yield from _of_aws().get(arn.rpartition("/")[2], {"Document": {"Statement": ()}})["Document"][
            "Statement"
        ]
    for resource in resources.values():
        if resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            given = resource["Properties"]
            if {"Ref": logical_id} in given.get("Roles", []):
                yield from account.value(given["PolicyDocument"]["Statement"], stack)


@cache
def _of_aws() -> dict[str, Any]:
    known: dict[str, Any] = json.loads(aws_managed_policies_data)
    return known


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
