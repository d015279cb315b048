"""What an environment has once, whatever releases come and go: cluster, controller, state, alarms."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_kms as kms
from constructs import Construct
from taskfleet.contract import environment as variables
from taskfleet.contract import names, results

from infra.base import EnvironmentStack, lookup, lookup_key, lookup_vpc, lookup_workers, publish
from infra.checks.nag import acknowledge
from infra.constructs.alarms import Alarms
from infra.constructs.capacity import Instances
from infra.constructs.dashboard import FleetDashboard
from infra.constructs.environment import Endpoint, result_backend, scraped_port, service_variables
from infra.constructs.fleet_alarms import add_fleet_alarms
from infra.constructs.image import WorkerImage
from infra.constructs.log_groups import log_group
from infra.constructs.people import People, people_policies
from infra.constructs.permissions import Base, Grants, Permissions
from infra.constructs.producers import producer_policy
from infra.constructs.queues import dead_letter_queue
from infra.constructs.results_cache import ResultsCache
from infra.constructs.roles import roles
from infra.constructs.service import Place, exec_configuration
from infra.constructs.singleton import Singleton
from infra.constructs.tables import (
    dead_letters_table,
    etas_table,
    producers_table,
    results_table,
    state_table,
    tools_table,
)
from infra.constructs.topic import alarm_topic
from infra.settings import Capacity, Results, Settings


class FleetStack(EnvironmentStack):
    """What lives as long as its environment.

    ``cluster``, ``controller``, ``state_table``, ``dead_letters_table``, ``dead_letters`` by queue, and
    ``topic``. With ``keeps_beat`` it has a beat, for the releases of the version before, which have none.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        image: WorkerImage,
        protected: bool,
        keeps_beat: bool = False,
    ) -> None:
        super().__init__(
            scope,
            id,
            settings=settings,
            description="cluster, controller, state and alarms",
            protected=protected,
        )
        self._settings = settings
        key = lookup_key(self, settings)
        self.topic = alarm_topic(self, "Alarms", settings=settings, key=key)
        self.state_table = state_table(self, settings=settings, key=key, protected=protected)
        producers_table(self, settings=settings, key=key, protected=protected)
        etas_table(self, settings=settings, key=key, protected=protected)
        self.dead_letters_table = dead_letters_table(self, settings=settings, key=key, protected=protected)
        self.tools_table = tools_table(self, settings=settings, key=key, protected=protected)
        if settings.results_cache:
            # Its security group must follow a VPC that is made anew.
            lookup_vpc(self, settings, vpc_id=lookup(self, settings, "vpc-id"))
        self.results_cache = self._results_cache(key)
        if isinstance(settings.results, Results):
            results_table(self, settings=settings, key=key, protected=protected)
        self.dead_letters = {
            queue: dead_letter_queue(self, settings=settings, queue=queue, key=key)
            for pool in settings.pools
            for queue in pool.queues
        }
        self.cluster = _cluster(self, settings)
        self._services(key, image, keeps_beat=keeps_beat)
        add_fleet_alarms(
            self,
            alarms=Alarms(settings=settings, topic_arn=self.topic.topic_arn),
            controller=self.controller,
        )
        FleetDashboard(self, "Overview", settings=settings)
        publish(self, settings, "cluster-arn", self.cluster.cluster_arn)
        publish(self, settings, "alarm-topic-arn", self.topic.topic_arn)
        publish(self, settings, "state-table-arn", self.state_table.table_arn)
        publish(self, settings, "tools-table-arn", self.tools_table.table_arn)
        cache = self.results_cache
        backend = cache.url if cache else result_backend(settings) or results.NONE
        publish(self, settings, "result-backend", backend)
        secret = cache.secret.secret_arn if cache else results.NONE
        publish(self, settings, "results-secret-arn", secret)

    def _results_cache(self, key: kms.IKey) -> ResultsCache | None:
        settings = self._settings
        if settings.results_cache is None:
            return None
        return ResultsCache(
            self,
            "ResultsCache",
            settings=settings,
            cache=settings.results_cache,
            key=key,
            vpc=lookup_vpc(self, settings),
            workers=lookup_workers(self, settings),
        )

    def _services(self, key: kms.IKey, image: WorkerImage, *, keeps_beat: bool) -> None:
        settings = self._settings
        vpc = lookup_vpc(self, settings)
        place = Place(
            cluster=self.cluster,
            subnets=vpc.private_subnets,
            security_group=lookup_workers(self, settings),
            allows_exec=settings.allows_exec,
        )
        base = Base(
            key_arn=key.key_arn,
            broker_secret_arn=lookup(self, settings, "broker-secret-arn"),
            state_table_arn=self.state_table.table_arn,
            tools_table_arn=self.tools_table.table_arn,
            results_secret_arn=self.results_cache.secret.secret_arn if self.results_cache else None,
        )
        permissions = Permissions(stack=self, settings=settings, base=base)
        producer_policy(self, settings, permissions)
        people_policies(People(stack=self, settings=settings, base=base))
        endpoint = Endpoint(
            host=lookup(self, settings, "broker-host"), port=lookup(self, settings, "broker-port")
        )
        container = image.container(self)

        def singleton(name: str, role: str, grants: Grants, *, port: int | None = None) -> ecs.FargateService:
            scope = Construct(self, name.capitalize())
            made = Singleton(
                settings=settings,
                name=name,
                role=role,
                roles=roles(scope, settings=settings, grants=grants),
                variables=service_variables(settings, endpoint),
                image=container,
                key=key,
                place=place,
                port=port,
            )
            return made.make(scope)

        self.controller = singleton(
            names.CONTROLLER_SERVICE,
            variables.Role.CONTROLLER,
            permissions.controller(),
            port=scraped_port(settings),
        )
        if keeps_beat:
            singleton(names.BEAT_SERVICE, variables.Role.BEAT, permissions.beat())


def _cluster(stack: cdk.Stack, settings: Settings) -> ecs.Cluster:
    key, vpc = lookup_key(stack, settings), lookup_vpc(stack, settings)
    cluster = ecs.Cluster(
        stack,
        "Cluster",
        cluster_name=names.cluster(settings.name),
        vpc=vpc,
        container_insights_v2=(
            ecs.ContainerInsights.ENABLED if settings.container_insights else ecs.ContainerInsights.DISABLED
        ),
        execute_command_configuration=exec_configuration(stack, settings=settings, key_arn=key.key_arn),
    )
    if settings.allows_exec:
        shells = log_group(
            stack,
            "Shells",
            key=key,
            retention_days=settings.log_retention_days,
            name=names.log_group(settings.name, names.SHELLS),
        )
        cluster.node.add_dependency(shells)
    if not settings.container_insights:
        acknowledge(
            cluster,
            "AwsSolutions-ECS4",
            "Off by the setting container_insights: its metrics would cost more than a worker, and the "
            "alarms and the dashboard watch the controller's own.",
        )
    if any(pool.capacity is not Capacity.FARGATE for pool in settings.pools):
        cluster.enable_fargate_capacity_providers()
    for pool in settings.pools:
        if pool.capacity is Capacity.EC2:
            instances = Instances(
                stack,
                f"Instances-{pool.name}",
                settings=settings,
                pool=pool,
                vpc=vpc,
                subnets=vpc.private_subnets,
                security_group=lookup_workers(stack, settings),
            )
            cluster.add_asg_capacity_provider(instances.provider)
    return cluster
