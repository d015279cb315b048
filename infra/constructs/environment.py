"""The environment variables of each role's containers, from `taskfleet.contract.environment`."""

from __future__ import annotations

from dataclasses import dataclass

from taskfleet.contract import container, results
from taskfleet.contract import environment as contract

from infra.settings import Capacity, Pool, Results, Settings


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where the primary broker answers, and the URL of the results' cache; all may be tokens."""

    host: str
    port: str
    results: str | None = None


def service_variables(
    settings: Settings, endpoint: Endpoint, *, release: str | None = None
) -> dict[str, str]:
    """For the controller, and for the beat of a ``release``."""
    own: dict[contract.Variable, object] = {contract.RELEASE: release} if release else {}
    return _named(settings, {**_shared(settings, endpoint), **own})


def worker_variables(
    settings: Settings,
    endpoint: Endpoint,
    *,
    pool: Pool,
    release: str,
    broker: str,
    build: str | None = None,
    accepted_breaks: tuple[str, ...] = (),
) -> dict[str, str]:
    """For a worker that consumes on ``broker`` (`contract.PRIMARY` or `contract.FALLBACK`).

    A fallback worker consumes its own pool's queues only: the helped pool has fallback workers too.
    """
    limits = pool.limits
    fallback = broker == contract.FALLBACK
    visibility = limits.fallback_visibility_timeout_seconds if fallback else limits.visibility_timeout_seconds
    own = {
        contract.RELEASE: release,
        contract.POOL: pool.name,
        contract.QUEUES: ",".join(pool.queues if fallback else (*pool.queues, *pool.helps)),
        contract.BROKER: broker,
        contract.EXECUTION: pool.execution.value,
        contract.CONCURRENCY: pool.concurrency,
        contract.CHILD_MEMORY_MIB: pool.child_memory_mib,
        contract.MAX_TASKS_PER_CHILD: limits.max_tasks_per_child,
        contract.VISIBILITY_TIMEOUT_SECONDS: visibility,
        contract.SOFT_TIME_LIMIT_SECONDS: limits.soft_time_limit_seconds,
        contract.TIME_LIMIT_SECONDS: limits.time_limit_seconds,
        contract.SOFT_SHUTDOWN_SECONDS: limits.soft_shutdown_seconds,
    }
    if port := scraped_port(settings):
        own[contract.METRICS_PORT] = port
    if build is not None:
        own[contract.BUILD] = build
        if accepted_breaks:
            own[contract.ACCEPTED_BREAKS] = ",".join(accepted_breaks)
    if backend := endpoint.results or result_backend(settings):
        own[contract.RESULT_BACKEND] = backend
    named = _named(settings, {**_shared(settings, endpoint), **own})
    # On Fargate ECS gives it; on an instance nobody would, once its metadata is out of reach.
    return {**named, container.REGION: settings.region} if pool.capacity is Capacity.EC2 else named


def result_backend(settings: Settings) -> str | None:
    """The URL of the environment's own table for results; None where it has none."""
    if not isinstance(settings.results, Results):
        return None
    return results.url(settings.name, settings.region, expires_seconds=settings.results.expires_seconds)


def scraped_port(settings: Settings) -> int | None:
    """Where workers and controller serve `/metrics` to those of `metrics_from`; None where nobody may."""
    return contract.METRICS_PORT_DEFAULT if settings.metrics_from else None


def _shared(settings: Settings, endpoint: Endpoint) -> dict[contract.Variable, object]:
    return {
        contract.ENVIRONMENT: settings.name,
        contract.BROKER_HOST: endpoint.host,
        contract.BROKER_PORT: endpoint.port,
        contract.APP: settings.app,
    }


def _named(settings: Settings, variables: dict[contract.Variable, object]) -> dict[str, str]:
    """The team's own first: `infra.rules` refuses those that would take one of these names."""
    return {**settings.variables, **{variable.name: str(value) for variable, value in variables.items()}}
