"""Times that must be in order, or a task is run twice, lost, or killed before it could stop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from taskfleet.contract import limits as aws
from taskfleet.contract.etas import LEAST_BEYOND_SECONDS
from taskfleet.contract.metrics import LOOK_SECONDS

from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Pool, Settings

_MAY_BE_NEVER = ("warm_seconds", "delete_after_seconds")
MAX_ALARM_SECONDS = 24 * 3600  # CloudWatch: the evaluation interval of a high-resolution alarm

# (shorter, longer, why): each pair of `Limits` in which the first must be less than the second. Visibility
# timeouts are for stock workers: ours renew a lease on what they hold (`taskfleet.brokers`).
ORDERED = (
    (
        "soft_time_limit_seconds",
        "time_limit_seconds",
        "the task must get its exception before its process is killed",
    ),
    (
        "time_limit_seconds",
        "visibility_timeout_seconds",
        "a stock Celery worker on these queues would have its running task given to a second worker",
    ),
    (
        "time_limit_seconds",
        "fallback_visibility_timeout_seconds",
        "SQS would give the running task of a stock Celery worker on these queues to a second worker",
    ),
    (
        "longest_countdown_seconds",
        "visibility_timeout_seconds",
        "a stock Celery worker holds a countdown unacknowledged, so that others would run it too",
    ),
    (
        "longest_countdown_seconds",
        "fallback_visibility_timeout_seconds",
        "a stock Celery worker holds a countdown unacknowledged on SQS too, so that others would run it",
    ),
    (
        "soft_shutdown_seconds",
        "stop_timeout_seconds",
        "ECS would kill the worker before it has handed its messages back",
    ),
)


def _in_order(settings: Settings) -> Iterator[Problem]:
    for pool in settings.pools:
        for shorter, longer, why in ORDERED:
            value, bound = getattr(pool.limits, shorter), getattr(pool.limits, longer)
            if value is not None and value >= bound:
                yield Problem(
                    setting=f"pool {pool.name}: limits.{shorter}",
                    value=value,
                    rule=f"must be less than limits.{longer} = {bound}: {why}",
                    fix=f"lower {shorter}, or raise {longer}",
                )


def _positive(settings: Settings) -> Iterator[Problem]:
    for pool in settings.pools:
        for name, value in vars(pool.limits).items():
            least = 0 if name in ("soft_shutdown_seconds", "longest_countdown_seconds") else 1
            if value is not None and value < least:
                yield Problem(
                    setting=f"pool {pool.name}: limits.{name}",
                    value=value,
                    rule=f"at least {least}",
                    fix="leave it out for the default",
                )


def _stop_timeout(settings: Settings) -> Iterator[Problem]:
    for pool in settings.pools:
        stop = pool.limits.stop_timeout_seconds
        if pool.capacity != "ec2" and stop > aws.FARGATE_MAX_STOP_TIMEOUT_SECONDS:
            yield Problem(
                setting=f"pool {pool.name}: limits.stop_timeout_seconds",
                value=stop,
                rule=f"Fargate waits {aws.FARGATE_MAX_STOP_TIMEOUT_SECONDS} s at most, then kills",
                fix=f"{aws.FARGATE_MAX_STOP_TIMEOUT_SECONDS} or less, or capacity=Capacity.EC2",
            )


def _sqs_visibility(settings: Settings) -> Iterator[Problem]:
    for pool in settings.pools:
        seconds = pool.limits.fallback_visibility_timeout_seconds
        if seconds > aws.SQS_MAX_VISIBILITY_SECONDS:
            yield Problem(
                setting=f"pool {pool.name}: limits.fallback_visibility_timeout_seconds",
                value=seconds,
                rule=f"SQS allows {aws.SQS_MAX_VISIBILITY_SECONDS} (12 hours) at most",
                fix="lower it, and cut tasks that take longer into parts",
            )


def _scaling_periods(settings: Settings) -> Iterator[Problem]:
    for pool in settings.pools:
        for name in ("scale_out_after_seconds", "scale_in_after_seconds", "fallback_sleep_after_seconds"):
            value = getattr(pool, name)
            if value % LOOK_SECONDS or not LOOK_SECONDS <= value <= MAX_ALARM_SECONDS:
                yield Problem(
                    setting=f"pool {pool.name}: {name}",
                    value=value,
                    rule=f"alarms look every {LOOK_SECONDS} s, for {MAX_ALARM_SECONDS} s at most",
                    fix=f"a multiple of {LOOK_SECONDS} from {LOOK_SECONDS} to {MAX_ALARM_SECONDS}",
                )


def _leases(settings: Settings) -> Iterator[Problem]:
    bounds = {
        "lease_seconds": (aws.REDIS_LEASE_LEAST_SECONDS, aws.REDIS_LEASE_MOST_SECONDS),
        "fallback_lease_seconds": (aws.SQS_LEASE_LEAST_SECONDS, aws.SQS_LEASE_MOST_SECONDS),
    }
    for name, (least, most) in bounds.items():
        value = getattr(settings.broker, name)
        if not least <= value <= most:
            yield Problem(
                setting=f"broker.{name}",
                value=value,
                rule="less may lapse while a worker is only slow, more leaves a dead worker's tasks waiting",
                fix=f"{least} to {most}; a task may run for far longer, since living workers renew it",
            )


def _drain(settings: Settings) -> Iterator[Problem]:
    times = {
        pool.name: (pool.limits.longest_countdown_seconds or 0) + pool.limits.time_limit_seconds
        for pool in settings.pools
    }
    slowest = max(times, key=lambda name: times[name], default=None)
    if slowest is not None and settings.drain_deadline_seconds < times[slowest]:
        yield Problem(
            setting="drain_deadline_seconds",
            value=settings.drain_deadline_seconds,
            rule=f"pool {slowest} may take {times[slowest]} s to drain (longest countdown, then time limit)",
            fix=f"{times[slowest]} or more",
        )


def _releases(settings: Settings) -> Iterator[Problem]:
    least = {
        "warm_seconds": 0,
        "delete_after_seconds": 0,
        "keep_failed_seconds": 0,
        "max_live_releases": 2,
    }
    for name, smallest in least.items():
        value = getattr(settings, name)
        if value is not None and value < smallest:
            yield Problem(
                setting=name,
                value=value,
                rule="a new release runs beside the current one" if smallest else "it is a time",
                fix=f"{smallest} or more{', or None: never by itself' if name in _MAY_BE_NEVER else ''}",
            )


def _etas(settings: Settings) -> Iterator[Problem]:
    value = settings.etas_beyond_seconds
    if value is not None and value < LEAST_BEYOND_SECONDS:
        yield Problem(
            setting="etas_beyond_seconds",
            value=value,
            rule=f"what is due within {LEAST_BEYOND_SECONDS} s would be sent as soon as it was kept",
            fix=f"{LEAST_BEYOND_SECONDS} or more, or None: all ETAs wait in the queues",
        )


def remarks(settings: Settings) -> list[str]:
    """What is allowed, and still not what a reader may expect."""
    return [remark for pool in settings.pools for remark in _not_enforced(pool)]


def _not_enforced(pool: Pool) -> Iterator[str]:
    unenforced = {
        "threads": "neither time limit is enforced (a thread can't be stopped)",
        "gevent": "the soft time limit is not enforced, and the hard one only where a task waits; one that "
        "computes for ten seconds without waiting may run twice (nothing renews its lease meanwhile)",
    }
    if pool.execution.value in unenforced:
        yield (
            f"pool {pool.name} runs {pool.execution.value}: {unenforced[pool.execution.value]}, and there "
            "are no children to replace for their memory or their age. "
            "Give each call in these tasks a timeout of its own."
        )


RULES = (
    _in_order,
    _positive,
    _stop_timeout,
    _sqs_visibility,
    _scaling_periods,
    _leases,
    _drain,
    _releases,
    _etas,
)
