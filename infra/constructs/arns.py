"""The ARNs of what one environment has, and the patterns of what comes and goes in it."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import ArnFormat, Stack
from taskfleet.contract import names, parameters

from infra.settings import Pool, Settings


@dataclass(frozen=True, kw_only=True)
class Arns:
    """By the names of `taskfleet.contract.names`, in the stack's account and region."""

    stack: Stack
    settings: Settings

    @property
    def _env(self) -> str:
        return self.settings.name

    def _manifests(self) -> str:
        return parameters.release_manifests(self._env)

    def _dead_letters(self) -> str:
        return self._table(names.dead_letters_table(self._env))

    def _producers(self) -> str:
        return self._table(names.producers_table(self._env))

    def _etas(self) -> str:
        return self._table(names.etas_table(self._env))

    def _table(self, name: str) -> str:
        return self.stack.format_arn(service="dynamodb", resource="table", resource_name=name)

    def _queue(self, name: str) -> str:
        return self.stack.format_arn(service="sqs", resource=name)

    def _own_queues(self, release: str) -> list[str]:
        queues = [queue for pool in self.settings.pools for queue in pool.queues]
        return [self._queue(names.fallback_queue(self._env, queue, release)) for queue in queues]

    def _fallbacks(self) -> str:
        return self._queue(f"{names.fallback_prefix(self._env)}*")

    def _parameter(self, name: str) -> str:
        return self.stack.format_arn(
            service="ssm", resource="parameter", resource_name=name.removeprefix("/")
        )

    def _pointer(self) -> list[str]:
        """The current release, and the split beside it."""
        named = (parameters.current_release, parameters.canary_release)
        return [self._parameter(each(self._env)) for each in named]

    def _alarms(self) -> str:
        return self.stack.format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name="*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )

    def _releases(self) -> str:
        return self.stack.format_arn(
            service="cloudformation",
            resource="stack",
            resource_name=f"{names.release_stack_prefix(self._env)}*/*",
        )

    def _cluster(self) -> str:
        return self.stack.format_arn(
            service="ecs", resource="cluster", resource_name=names.cluster(self._env)
        )

    def _ecs(self, resource: str, name: str) -> str:
        return self.stack.format_arn(
            service="ecs",
            resource=resource,
            resource_name=f"{names.cluster(self._env)}/{name}",
            arn_format=ArnFormat.SLASH_RESOURCE_NAME,
        )

    def _definitions(self, pool: Pool | None) -> str:
        return self.stack.format_arn(
            service="ecs",
            resource="task-definition",
            resource_name=names.task_family(self._env, f"{pool.name}-*" if pool else "*-*"),
        )

    def _output(self, pool: Pool | None) -> str:
        group = names.log_group(self._env, f"{pool.name}-*" if pool else "*-*")
        return self.stack.format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"{group}:log-stream:*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )

    def _release_roles(self) -> str:
        path = names.release_roles(self._env).removeprefix("/")
        return self.stack.format_arn(service="iam", region="", resource="role", resource_name=f"{path}*")
