"""Everything that belongs to one release. A retired release is this stack, deleted."""

from __future__ import annotations

from dataclasses import replace

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_ssm as ssm
from constructs import Construct
from taskfleet.contract import environment as variables
from taskfleet.contract import names, parameters

from infra.base import EnvironmentStack, lookup, lookup_key, lookup_vpc, lookup_workers
from infra.constructs.alarms import Alarms
from infra.constructs.answer import Answer
from infra.constructs.environment import Endpoint, service_variables
from infra.constructs.image import WorkerImage
from infra.constructs.manifest import release_manifest
from infra.constructs.permissions import Base, Permissions
from infra.constructs.pool import Release, WorkerPool
from infra.constructs.roles import roles, with_own_task_role
from infra.constructs.service import Place, exec_configuration
from infra.constructs.singleton import Singleton
from infra.settings import Settings


class ReleaseStack(EnvironmentStack):
    """One ``pools[name]`` per pool, its ``beat``, and the manifest that the controller and producers read.

    Finds the long-lived stacks by SSM parameters only: with an export, a release that nobody
    retired would keep them from changing.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        release: str,
        image: WorkerImage,
        build: str | None = None,
        accepted_breaks: tuple[str, ...] = (),
    ) -> None:
        super().__init__(scope, id, settings=settings, description=f"release {release}")
        cdk.Tags.of(self).add("release", release)
        shared = replace(self._shared(settings, release, image), build=build, accepted_breaks=accepted_breaks)
        self.pools = {
            pool.name: WorkerPool(self, f"Pool-{pool.name}", pool=pool, release=shared)
            for pool in settings.pools
        }
        self.beat = self._beat(shared)
        said = release_manifest(settings, release=release, image=image.identity, build=build).to_json()
        begun = ssm.StringParameter(
            self,
            "Begun",
            parameter_name=parameters.release_begun(settings.name, release),
            string_value=said,
            description="What this release deploys; the controller reads it if its stack fails.",
        )
        self._run_last(begun)
        if build is not None:
            # An update stops it before it starts the next one: not before the new workers have been taken.
            self.beat.node.add_dependency(*self.pools.values())
        manifest = ssm.StringParameter(
            self,
            "Manifest",
            parameter_name=parameters.release_manifest(settings.name, release),
            string_value=said,
            description="What this release deployed; the controller and producers read it.",
        )
        answer = Answer(self, "Answer", settings=settings, release=release, build=build)
        # The controller registers a release when it sees the manifest: by then all of it must exist.
        manifest.node.add_dependency(*self.pools.values(), self.beat, answer.before_manifest)
        answer.wait_for_all_others()

    def _run_last(self, begun: ssm.StringParameter) -> None:
        """What is made first is deleted last: nothing that runs lives longer than a queue of any pool.

        Nor does anything run of a release that the controller doesn't know.
        """
        first = [begun, *(queue for pool in self.pools.values() for queue in pool.queues)]
        self.beat.node.add_dependency(*first)
        for pool in self.pools.values():
            for service in (pool.service, pool.fallback_service):
                service.node.add_dependency(*first)

    def _beat(self, release: Release) -> ecs.FargateService:
        """Its own: the schedule and the code are those of the release. It fires while that is current."""
        scope, settings = Construct(self, "Beat"), release.settings
        grants = self._permissions.beat(release.id)
        return Singleton(
            settings=settings,
            name=names.beat_service(release.id),
            role=variables.Role.BEAT,
            roles=with_own_task_role(scope, grants=grants, shared=release.roles),
            variables=service_variables(settings, release.endpoint, release=release.id),
            image=release.image,
            key=release.key,
            place=release.place,
        ).make(scope)

    def _shared(self, settings: Settings, release: str, image: WorkerImage) -> Release:
        key = lookup_key(self, settings)
        base = Base(
            key_arn=key.key_arn,
            broker_secret_arn=lookup(self, settings, "broker-secret-arn"),
            state_table_arn=lookup(self, settings, "state-table-arn"),
            tools_table_arn=lookup(self, settings, "tools-table-arn"),
            results_secret_arn=(
                lookup(self, settings, "results-secret-arn") if settings.results_cache else None
            ),
        )
        self._permissions = Permissions(stack=self, settings=settings, base=base)
        grants = self._permissions.worker(release)
        return Release(
            id=release,
            settings=settings,
            image=image.container(self),
            endpoint=Endpoint(
                host=lookup(self, settings, "broker-host"),
                port=lookup(self, settings, "broker-port"),
                results=lookup(self, settings, "result-backend") if settings.results_cache else None,
            ),
            place=self._place(settings, key.key_arn),
            key=key,
            alarms=Alarms(settings=settings, topic_arn=lookup(self, settings, "alarm-topic-arn")),
            # One pair for all pools that need no more: a task may publish to any queue of its release.
            roles=roles(self, settings=settings, grants=grants, path=names.release_roles(settings.name)),
            grants=grants,
        )

    def _place(self, settings: Settings, key_arn: str) -> Place:
        vpc = lookup_vpc(self, settings)
        return Place(
            cluster=ecs.Cluster.from_cluster_attributes(
                self,
                "Cluster",
                cluster_name=names.cluster(settings.name),
                vpc=vpc,
                execute_command_configuration=exec_configuration(self, settings=settings, key_arn=key_arn),
            ),
            subnets=vpc.private_subnets,
            security_group=lookup_workers(self, settings),
            allows_exec=settings.allows_exec,
        )
