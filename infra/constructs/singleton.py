"""A service that is never two: the controller, and beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_kms as kms
from constructs import Construct
from taskfleet.contract import names

from infra.constructs.log_groups import log_group
from infra.constructs.roles import Roles
from infra.constructs.service import Place, singleton_service
from infra.constructs.task import Task, task_definition
from infra.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Singleton:
    """What it is made of: ``name`` is its ECS service's, ``role`` the word after ``python -m taskfleet``."""

    settings: Settings
    name: str
    role: str
    roles: Roles
    variables: Mapping[str, str]
    image: ecs.ContainerImage
    key: kms.IKey
    place: Place
    port: int | None = None

    def make(self, scope: Construct) -> ecs.FargateService:
        """The service, with its log group and its task definition."""
        logs = log_group(
            scope,
            "Logs",
            key=self.key,
            retention_days=self.settings.log_retention_days,
            name=names.log_group(self.settings.name, self.name),
        )
        task = Task(
            service=self.name,
            role=self.role,
            variables=self.variables,
            roles=self.roles,
            image=self.image,
            port=self.port,
            log_group=logs,
        )
        definition = task_definition(scope, "Task", settings=self.settings, task=task)
        service = singleton_service(scope, "Service", name=self.name, definition=definition, place=self.place)
        # Without it the first task could start before ECS may pull its image and write its log.
        service.node.add_dependency(self.roles.execution)
        return service
