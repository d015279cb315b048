"""When a container counts as healthy. Pure.

As in ECS: one pass makes it healthy, ``retries`` failures in a row make it unhealthy, failures in the
start period do not count. The one difference: until the first regular check is due, it is checked
more often (as Docker's ``start_interval`` does), so that a deployment here need not wait 30 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from local.agent.definitions import HealthCheck

EARLY_INTERVAL_SECONDS = 1.0


class Health(StrEnum):
    """As ECS reports it."""

    UNKNOWN = "UNKNOWN"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"


@dataclass(frozen=True)
class Verdict:
    """What the checks said so far; ``failures`` in a row that count."""

    health: Health = Health.UNKNOWN
    failures: int = 0


def after(verdict: Verdict, check: HealthCheck, *, passed: bool, age_seconds: float) -> Verdict:
    """The verdict once one more check has ended, ``age_seconds`` after the container started."""
    if passed:
        return Verdict(Health.HEALTHY)
    if verdict.health is Health.UNKNOWN and age_seconds < _grace_seconds(check):
        return verdict
    failures = verdict.failures + 1
    return Verdict(Health.UNHEALTHY if failures >= check.retries else verdict.health, failures)


def next_check_seconds(verdict: Verdict, check: HealthCheck, *, age_seconds: float) -> float:
    """How long to wait before the next check begins."""
    if verdict.health is Health.UNKNOWN and age_seconds < _grace_seconds(check):
        return min(EARLY_INTERVAL_SECONDS, check.interval_seconds)
    return check.interval_seconds


def _grace_seconds(check: HealthCheck) -> float:
    return max(check.start_period_seconds, check.interval_seconds)
