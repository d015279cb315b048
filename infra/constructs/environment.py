"""The environment variables of each role's containers, written from `taskfleet.settings`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from taskfleet.contract import container, results
from taskfleet.contract import environment as contract
from taskfleet.settings import BeatSettings, ControllerSettings, WorkerSettings

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
    """For the controller and a beat that belongs to no release, and for the beat of a ``release``."""
    shared = _shared(settings, endpoint)
    own = BeatSettings(release=release, **shared) if release else ControllerSettings(**shared)
    return {**settings.variables, **own.to_environ()}


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
    own = WorkerSettings(
        **_shared(settings, endpoint),
        release=release,
        pool=pool.name,
        queues=pool.queues if fallback else (*pool.queues, *pool.helps),
        broker=broker,
        execution=pool.execution.value,
        concurrency=pool.concurrency,
        child_memory_mib=pool.child_memory_mib,
        max_tasks_per_child=limits.max_tasks_per_child,
        visibility_timeout_seconds=(
            limits.fallback_visibility_timeout_seconds if fallback else limits.visibility_timeout_seconds
        ),
        lease_seconds=settings.broker.fallback_lease_seconds if fallback else settings.broker.lease_seconds,
        soft_time_limit_seconds=limits.soft_time_limit_seconds,
        time_limit_seconds=limits.time_limit_seconds,
        soft_shutdown_seconds=limits.soft_shutdown_seconds,
        metrics_port=scraped_port(settings),
        build=build,
        accepted_breaks=() if build is None else accepted_breaks,
        result_backend=endpoint.results or result_backend(settings),
    )
    # The team's own first: `infra.rules` refuses those that would take one of these names.
    variables = {**settings.variables, **own.to_environ()}
    # On Fargate ECS gives it; on an instance nobody would, once its metadata is out of reach.
    return {**variables, container.REGION: settings.region} if pool.capacity is Capacity.EC2 else variables


def result_backend(settings: Settings) -> str | None:
    """The URL of the environment's own table for results; None where it has none."""
    if not isinstance(settings.results, Results):
        return None
    return results.url(settings.name, settings.region, expires_seconds=settings.results.expires_seconds)


def scraped_port(settings: Settings) -> int | None:
    """Where workers and controller serve `/metrics` to those of `metrics_from`; None where nobody may."""
    return contract.METRICS_PORT_DEFAULT if settings.metrics_from else None


def _shared(settings: Settings, endpoint: Endpoint) -> dict[str, Any]:
    return {
        "environment": settings.name,
        "broker_host": endpoint.host,
        "broker_port": endpoint.port,  # a token, which only ECS turns into a number
        "app": settings.app,
    }
