"""The two roles of a container: what its code may do, and what ECS needs to start it."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.checks.nag import acknowledge
from infra.constructs.permissions import Grants
from infra.settings import Settings

_ECS_TASKS = "ecs-tasks.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class Roles:
    """``task`` is the code's, ``execution`` is ECS's own: pull the image, write logs, read secrets."""

    task: iam.Role
    execution: iam.Role


def roles(scope: Construct, *, settings: Settings, grants: Grants) -> Roles:
    """Both roles, with ``grants`` for the code; the execution role gets its own from the task definitions."""
    task = iam.Role(scope, "TaskRole", assumed_by=iam.ServicePrincipal(_ECS_TASKS))
    for statement in grants.statements:
        task.add_to_policy(statement)
    for resource, reason in grants.wildcards.items():
        acknowledge(task, f"AwsSolutions-IAM5[Resource::{resource}]", reason)
    return Roles(task=task, execution=_execution(scope, settings))


def _execution(scope: Construct, settings: Settings) -> iam.Role:
    role = iam.Role(scope, "ExecutionRole", assumed_by=iam.ServicePrincipal(_ECS_TASKS))
    if not settings.on_this_machine:
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::*]",
            "ecr:GetAuthorizationToken has no resource-level permission; the pull is of one repository's.",
        )
    return role
