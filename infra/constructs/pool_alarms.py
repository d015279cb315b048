"""The alarms of one pool in one release: those that scale it, and those that a person gets."""

from __future__ import annotations

from dataclasses import dataclass

from constructs import Construct
from taskfleet.contract import alarm_catalogue, metrics, names
from taskfleet.contract.alarms import Alarm, Scope

from infra.constructs.alarms import Alarms
from infra.constructs.scaling import ScaledService
from infra.settings import Pool


@dataclass(frozen=True, kw_only=True)
class PoolAlarms:
    """Makes them for ``pool`` in ``release``."""

    alarms: Alarms
    pool: Pool
    release: str

    def scale(self, scope: Construct, service: ScaledService) -> None:
        """Those whose policy ``service`` has: of the pool, or of each of its queues."""
        for kind, arn in service.policy_arns.items():
            self._add(scope, alarm_catalogue.CATALOGUE[kind], arn)

    def tell(self, scope: Construct) -> None:
        """Those that only a person acts on."""
        for alarm in (*alarm_catalogue.of(Scope.POOL), *alarm_catalogue.of(Scope.QUEUE)):
            if not alarm.scales and alarm.is_for(self.pool):
                self._add(scope, alarm, None)

    def _add(self, scope: Construct, alarm: Alarm, policy_arn: str | None) -> None:
        for name, dimensions in self._each(alarm):
            self.alarms.add(
                scope,
                alarm,
                name,
                self.release,
                dimensions=dimensions,
                pool=self.pool,
                policy_arn=policy_arn,
            )

    def _each(self, alarm: Alarm) -> list[tuple[str, dict[str, str]]]:
        """Names and dimensions: the pool's, or those of each of its queues."""
        environment, pool, release = self.alarms.settings.name, self.pool.name, self.release
        if alarm.scope is Scope.POOL:
            of = {
                metrics.ENVIRONMENT: environment,
                metrics.POOL: pool,
                metrics.RELEASE: release,
                metrics.CLUSTER: names.cluster(environment),
                metrics.SERVICE: names.service(pool, release),
            }
            return [(pool, {name: of[name] for name in alarm.metric.dimensions})]
        return [
            (queue, {metrics.SQS_QUEUE: names.fallback_queue(environment, queue, release)})
            for queue in self.pool.queues
        ]
