"""The run that a tool is used in."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from celery import current_task
from redis.backoff import NoBackoff
from redis.retry import Retry

from taskfleet import aws, in_memory
from taskfleet.brokers import connections
from taskfleet.logs import logger
from taskfleet.per_process import PerProcess
from taskfleet.settings import ProducerSettings
from taskfleet.tools.leases import Contended, Done, Lease, Leases
from taskfleet.tools.rescheduling import later, spread

T = TypeVar("T")

# What DynamoDB or the way to it may raise: nothing is known then, and nothing is done.
UNKNOWN = (BotoCoreError, ClientError)


def task_of_a_message() -> Any | None:
    """The task that runs here because of a message; None for a plain call, an eager one, or a team's test."""
    task = current_task._get_current_object() if current_task else None
    if task is None or task.request.called_directly or task.request.is_eager or in_memory.used(task.app):
        return None
    return task


def leases(task: Any) -> Leases:
    """Of the environment that the task runs in."""
    return Leases(aws.client("dynamodb"), task.app.taskfleet.settings.environment)


def redis_of(task: Any) -> Any:
    """The process's client of the primary broker's Redis, for the environment that the task runs in."""
    known = task.app.taskfleet
    if not hasattr(known, "tools_redis"):
        known.tools_redis = PerProcess(functools.partial(_connect, known.settings))
    return known.tools_redis.get()


def _connect(settings: ProducerSettings) -> Any:
    return connections.primary_client(
        settings,
        timeout_seconds=connections.WORKER_TIMEOUT_SECONDS,
        health_check_interval=10,
        retry=Retry(NoBackoff(), 1),
    )


def take(
    task: Any, of: Leases, key: str, *, most: int, seconds: float, wait_seconds: float
) -> Lease | Done | None:
    """As `Leases.take`. While it is not known who holds the key, the task waits: it is published again."""
    try:
        return of.take(key, most=most, seconds=seconds)
    except (*UNKNOWN, Contended) as error:
        logger.warning("%s waits, since it is not known who holds %s: %r", task.name, key, error)
        later(task, spread(wait_seconds))


def known(task: Any, call: Callable[..., T], *args: Any, wait_seconds: float) -> T:
    """What DynamoDB says. While it says nothing, the task waits: it is published again."""
    try:
        return call(*args)
    except UNKNOWN as error:
        logger.warning("%s waits for DynamoDB: %r", task.name, error)
        later(task, spread(wait_seconds))


@contextlib.contextmanager
def alone(task: Any, key: str, *, seconds: float, wait_seconds: float) -> Iterator[None]:
    """Hold the one lease of ``key`` while the block runs; while another holds it, the task waits."""
    of = leases(task)
    lease = take(task, of, key, most=1, seconds=seconds, wait_seconds=wait_seconds)
    if not isinstance(lease, Lease):
        later(task, spread(wait_seconds))
    try:
        with renewed(of, lease, seconds):
            yield
    finally:
        with contextlib.suppress(*UNKNOWN):
            of.free(lease)


@contextlib.contextmanager
def renewed(of: Leases, lease: Lease, seconds: float) -> Iterator[None]:
    """Renew the lease while the block runs. Raises ``RuntimeError`` if no thread can be started for it."""
    ended = threading.Event()
    thread = threading.Thread(
        target=_renew, args=(of, lease, seconds, ended), name="taskfleet-lease", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()


def _renew(of: Leases, lease: Lease, seconds: float, ended: threading.Event) -> None:
    while not ended.wait(seconds / 3):
        try:
            if not of.renew(lease, seconds):
                logger.error("the lease of %s had ended before it could be renewed", lease.key)
                return
        except UNKNOWN as error:
            logger.warning("the lease of %s was not renewed, it is tried again: %s", lease.key, error)
