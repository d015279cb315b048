"""The two roles of a container: what its code may do, and what ECS needs to start it."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct
from taskfleet.contract import names

from infra.checks.nag import acknowledge
from infra.constructs.permissions import Grants
from infra.settings import Pool, Settings


@dataclass(frozen=True, kw_only=True)
class Roles:
    """``task`` is the code's, ``execution`` is ECS's own: pull the image, write logs, read secrets."""

    task: iam.Role
    execution: iam.Role


def roles(scope: Construct, *, settings: Settings, grants: Grants, path: str | None = None) -> Roles:
    """Both roles, with ``grants`` for the code; the execution role gets its own from the task definitions."""
    return Roles(task=_task(scope, grants, path), execution=_execution(scope, settings, path))


def with_own_task_role(scope: Construct, *, grants: Grants, shared: Roles) -> Roles:
    """What the code may do is its own. Not under the path of those that a one-off task may be given."""
    return Roles(task=_task(scope, grants, None), execution=shared.execution)


def pool_roles(scope: Construct, *, settings: Settings, pool: Pool, shared: Roles, grants: Grants) -> Roles:
    """Those that all pools share, or a task role with what this pool's tasks need beside."""
    if not pool.allow and not pool.managed_policies:
        return shared
    task = _task(scope, grants, names.release_roles(settings.name))
    for allow in pool.allow:
        task.add_to_policy(iam.PolicyStatement(actions=list(allow.actions), resources=list(allow.resources)))
        for resource in allow.resources:
            if "*" in resource:
                acknowledge(task, f"AwsSolutions-IAM5[Resource::{resource}]", allow.reason or "")
    for number, arn in enumerate(pool.managed_policies):
        task.add_managed_policy(iam.ManagedPolicy.from_managed_policy_arn(scope, f"Managed{number}", arn))
        if ":iam::aws:" in arn:
            acknowledge(
                task, f"AwsSolutions-IAM4[Policy::{arn}]", f"The settings of pool {pool.name} name it."
            )
    return Roles(task=task, execution=shared.execution)


def _task(scope: Construct, grants: Grants, path: str | None) -> iam.Role:
    role = iam.Role(scope, "TaskRole", assumed_by=_ecs_tasks(scope), path=path)
    for statement in grants.statements:
        role.add_to_policy(statement)
    for resource, reason in grants.wildcards.items():
        acknowledge(role, f"AwsSolutions-IAM5[Resource::{resource}]", reason)
    return role


def service_principal(scope: Construct, principal: str, *, service: str) -> iam.ServicePrincipal:
    """``principal`` when it acts for this account and region: AWS's service serves every other account too.

    ``service`` is its name in ARNs. IAM user guide, "The confused deputy problem"; not for Lambda and EC2,
    which don't say for whom they ask.
    """
    stack = Stack.of(scope)
    ours = stack.format_arn(service=service, resource="*", arn_format=ArnFormat.NO_RESOURCE_NAME)
    return iam.ServicePrincipal(
        principal,
        conditions={
            "StringEquals": {"aws:SourceAccount": stack.account},
            "ArnLike": {"aws:SourceArn": ours},
        },
    )


def _ecs_tasks(scope: Construct) -> iam.ServicePrincipal:
    return service_principal(scope, "ecs-tasks.amazonaws.com", service="ecs")


def _execution(scope: Construct, settings: Settings, path: str | None) -> iam.Role:
    role = iam.Role(scope, "ExecutionRole", assumed_by=_ecs_tasks(scope), path=path)
    if not settings.on_this_machine:
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::*]",
            "ecr:GetAuthorizationToken has no resource-level permission; the pull is of one repository's.",
        )
    return role
