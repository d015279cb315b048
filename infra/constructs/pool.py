"""One pool of a release: its workers on Redis, its workers on SQS, their queues, scaling and alarms."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct
from taskfleet.contract import environment as variables
from taskfleet.contract import names

from infra.constructs.alarms import Alarms
from infra.constructs.capacity import strategies
from infra.constructs.environment import Endpoint, scraped_port, worker_variables
from infra.constructs.log_groups import log_group
from infra.constructs.permissions import Grants
from infra.constructs.pool_alarms import PoolAlarms
from infra.constructs.queues import fallback_queue
from infra.constructs.roles import Roles, pool_roles
from infra.constructs.scaling import (
    Policy,
    ScaledService,
    attend,
    max_fallback_workers,
    scale_in,
    scale_out,
)
from infra.constructs.service import Place, worker_service
from infra.constructs.task import Task, task_definition
from infra.settings import Pool, Settings


@dataclass(frozen=True, kw_only=True)
class Release:
    """What all pools of a release share."""

    id: str
    settings: Settings
    image: ecs.ContainerImage
    endpoint: Endpoint
    place: Place
    key: kms.IKey
    alarms: Alarms
    roles: Roles
    grants: Grants
    build: str | None = None  # where releases are rolled
    accepted_breaks: tuple[str, ...] = ()


class WorkerPool(Construct):
    """The pool's ``service`` and ``fallback_service``, each with its task definition and scaling."""

    service: ecs.BaseService
    fallback_service: ecs.BaseService

    def __init__(self, scope: Construct, id: str, *, pool: Pool, release: Release) -> None:
        super().__init__(scope, id)
        self._pool = pool
        self._release = release
        self._alarms = PoolAlarms(alarms=release.alarms, pool=pool, release=release.id)
        self._log_group = self._logs()
        self._place = replace(release.place, more_groups=self._security_groups())
        self._roles = pool_roles(
            self, settings=release.settings, pool=pool, shared=release.roles, grants=release.grants
        )
        self.queues = [
            fallback_queue(
                self,
                settings=release.settings,
                pool=pool,
                queue=queue,
                release=release.id,
                key=release.key,
            )
            for queue in pool.queues
        ]
        self._primary()
        self._fallback()
        self._alarms.tell(self)

    def _security_groups(self) -> list[ec2.ISecurityGroup]:
        return [
            ec2.SecurityGroup.from_security_group_id(self, f"Group{number}", id, mutable=False)
            for number, id in enumerate(self._pool.security_groups)
        ]

    def _logs(self) -> logs.LogGroup:
        settings = self._release.settings
        return log_group(
            self,
            "Logs",
            name=names.log_group(settings.name, names.service(self._pool.name, self._release.id)),
            key=self._release.key,
            retention_days=settings.log_retention_days,
        )

    def _primary(self) -> None:
        pool = self._pool
        # A number here would take a busy pool back to it with every update of the stack.
        self.service = self._service("Primary", variables.PRIMARY, workers=None)
        scaled = self._scaled(
            self.service,
            "PrimaryScaling",
            variables.PRIMARY,
            bounds=(pool.min_workers, pool.max_workers),
            policies=(scale_out(pool), scale_in(pool)),
        )
        self._alarms.scale(self, scaled)

    def _fallback(self) -> None:
        pool, most = self._pool, max_fallback_workers(self._pool)
        # Asleep when it is made; an update during an outage is made good by the wake alarm's next minute.
        self.fallback_service = self._service(
            "Fallback", variables.FALLBACK, workers=pool.warm_fallback_workers
        )
        # Workers that would find no queue would exit and be started again until they did.
        self.fallback_service.node.add_dependency(*self.queues)
        scaled = self._scaled(
            self.fallback_service,
            "FallbackScaling",
            variables.FALLBACK,
            bounds=(pool.warm_fallback_workers, most),
            policies=(
                scale_out(pool, "fallback-wake", most=most - pool.warm_fallback_workers),
                scale_in(pool, "fallback-sleep", most=most - pool.warm_fallback_workers),
                attend(),
            ),
        )
        self._alarms.scale(self, scaled)

    def _service(self, id: str, broker: str, *, workers: int | None) -> ecs.BaseService:
        pool, release, name = self._pool, self._release, self._name(broker)
        task = Task(
            service=name,
            role=variables.Role.WORKER,
            variables=worker_variables(
                release.settings,
                release.endpoint,
                pool=pool,
                release=release.id,
                broker=broker,
                build=release.build,
                accepted_breaks=release.accepted_breaks,
            ),
            roles=self._roles,
            cpu_units=pool.cpu_units,
            memory_mib=pool.memory_mib,
            stop_timeout_seconds=pool.limits.stop_timeout_seconds,
            capacity=pool.capacity,
            port=scraped_port(release.settings),
            log_group=self._log_group,
            image=release.image,
        )
        service = worker_service(
            self,
            id,
            name=name,
            definition=task_definition(self, f"{id}Task", settings=release.settings, task=task),
            place=self._place,
            workers=workers,
            capacity=pool.capacity,
            strategies=strategies(release.settings, pool),
        )
        # Without it the first tasks could start before ECS may pull their image and write their logs.
        service.node.add_dependency(release.roles.execution)
        return service

    def _name(self, broker: str) -> str:
        return names.service(self._pool.name, self._release.id, fallback=broker == variables.FALLBACK)

    def _scaled(
        self,
        service: ecs.BaseService,
        id: str,
        broker: str,
        *,
        bounds: tuple[int, int],
        policies: tuple[Policy, ...],
    ) -> ScaledService:
        scaled = ScaledService(
            self,
            id,
            environment=self._release.settings.name,
            service=self._name(broker),
            min_workers=bounds[0],
            max_workers=bounds[1],
            policies=policies,
        )
        scaled.node.add_dependency(service)
        return scaled
