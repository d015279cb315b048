"""The settings of a process: what its container gets (`to_environ`), and what it reads once (`from_environ`).

Each field names its variable (`taskfleet.contract.environment`) and how it is read. A field without a
default is one that the role can't start without.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from taskfleet.contract import environment as env
from taskfleet.contract import names
from taskfleet.contract.environment import Variable
from taskfleet.errors import SettingsError
from taskfleet.etas.eta import Binding

EXECUTIONS = ("prefork", "threads", "gevent")

# Celery reads these itself, over any configuration: one of them in the environment would send
# everything to another broker without a word.
_OVERRIDES = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return read


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("must be a whole number of at least 1")
    return int(text)


def _not_negative(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("must be a whole number of at least 0")
    return int(text)


def _name(kind: str) -> Callable[[str], str]:
    return lambda text: names.check(kind, text)


def _queues(text: str) -> tuple[str, ...]:
    return tuple(names.check("queue", queue) for queue in text.split(","))


def _app(text: str) -> str:
    module, colon, attribute = text.partition(":")
    if not (module and colon and attribute):
        raise ValueError("must be `module:attribute`, for instance `shop.app:app`")
    return text


def _modules(text: str) -> tuple[str, ...]:
    modules = tuple(text.split(","))
    if not all(part.isidentifier() for module in modules for part in module.split(".")):
        raise ValueError("must be modules by comma, for instance `shop.more,shop.tools.tasks`")
    return modules


def _tasks(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _from(variable: Variable, read: Callable[[str], Any] = str, **default: Any) -> Any:
    return field(metadata={"variable": variable, "read": read}, **default)


@dataclass(frozen=True, kw_only=True)
class ProducerSettings:
    """What publishing needs: every process of the fleet, and every application that publishes to it."""

    environment: str = _from(env.ENVIRONMENT, _name("environment"))
    broker_host: str = _from(env.BROKER_HOST)
    broker_port: int = _from(env.BROKER_PORT, _positive)
    pinned_release: str | None = _from(env.PINNED_RELEASE, _name("release"), default=None)
    payload_warning_bytes: int | None = _from(env.PAYLOAD_WARNING_BYTES, _positive, default=None)
    log_level: str = _from(env.LOG_LEVEL, _one_of("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO")

    # How long a publish that no broker accepts is tried again; see `taskfleet.publishing.publisher`.
    publish_patience_seconds: ClassVar[float] = 0.0
    # Whether its process says which releases it may publish to (`taskfleet.publishing.leasing`).
    leases: ClassVar[bool] = True

    def to_environ(self) -> dict[str, str]:
        """The variables that say this; what is at its default is left out."""
        given = [(each, getattr(self, each.name)) for each in dataclasses.fields(self)]
        return {
            each.metadata["variable"].name: ",".join(value) if isinstance(value, tuple) else str(value)
            for each, value in given
            if value != each.default
        }

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read them. Raises `SettingsError` with every missing or bad variable at once."""
        values: dict[str, Any] = {}
        problems = [
            f"{name} is set: Celery would use it instead of the fleet's brokers; remove it"
            for name in _OVERRIDES
            if environ.get(name)
        ]
        for item in dataclasses.fields(cls):
            variable: Variable = item.metadata["variable"]
            text = environ.get(variable.name, "")
            if text:
                try:
                    values[item.name] = item.metadata["read"](text)
                except ValueError as error:
                    problems.append(f"{variable.name}={text!r}: {error} ({variable.help})")
            elif item.default is dataclasses.MISSING:
                problems.append(f"{variable.name} is missing: {variable.help}")
        if problems:
            raise SettingsError("the environment of this process can't be right:\n  " + "\n  ".join(problems))
        return cls(**values)

    @classmethod
    def required(cls) -> frozenset[str]:
        """The variables that this role can't start without."""
        needed = (each for each in dataclasses.fields(cls) if each.default is dataclasses.MISSING)
        return frozenset(each.metadata["variable"].name for each in needed)

    @property
    def bound_release(self) -> str | None:
        """The one release that this process publishes to, or None: the current one."""
        return self.pinned_release

    @property
    def binding(self) -> Binding:
        """What its far ETAs are bound to."""
        return Binding.CURRENT if self.pinned_release is None else Binding.PINNED


@dataclass(frozen=True, kw_only=True)
class BeatSettings(ProducerSettings):
    """What beat needs. Without a release it fires while the current one has no beat, and to that one."""

    app: str = _from(env.APP, _app)
    release: str | None = _from(env.RELEASE, _name("release"), default=None)

    @property
    def bound_release(self) -> str | None:
        """What its release's schedule fires runs its release's code."""
        return self.release or self.pinned_release


@dataclass(frozen=True, kw_only=True)
class ControllerSettings(ProducerSettings):
    """What the controller needs."""

    app: str = _from(env.APP, _app)

    metrics_port: int = _from(env.METRICS_PORT, _positive, default=env.METRICS_PORT_DEFAULT)


@dataclass(frozen=True, kw_only=True)
class WorkerSettings(ProducerSettings):
    """What a worker needs. Times are seconds, memory is MiB."""

    app: str = _from(env.APP, _app)
    release: str = _from(env.RELEASE, _name("release"))
    pool: str = _from(env.POOL, _name("pool"))
    queues: tuple[str, ...] = _from(env.QUEUES, _queues)
    broker: str = _from(env.BROKER, _one_of(env.PRIMARY, env.FALLBACK))
    execution: str = _from(env.EXECUTION, _one_of(*EXECUTIONS))
    concurrency: int = _from(env.CONCURRENCY, _positive)
    child_memory_mib: int = _from(env.CHILD_MEMORY_MIB, _positive)
    max_tasks_per_child: int = _from(env.MAX_TASKS_PER_CHILD, _positive)
    visibility_timeout_seconds: int = _from(env.VISIBILITY_TIMEOUT_SECONDS, _positive)
    lease_seconds: int | None = _from(env.LEASE_SECONDS, _positive, default=None)
    soft_time_limit_seconds: int = _from(env.SOFT_TIME_LIMIT_SECONDS, _positive)
    time_limit_seconds: int = _from(env.TIME_LIMIT_SECONDS, _positive)
    soft_shutdown_seconds: int = _from(env.SOFT_SHUTDOWN_SECONDS, _not_negative)
    include: tuple[str, ...] = _from(env.INCLUDE, _modules, default=())
    build: str | None = _from(env.BUILD, default=None)
    accepted_breaks: tuple[str, ...] = _from(env.ACCEPTED_BREAKS, _tasks, default=())
    metrics_port: int | None = _from(env.METRICS_PORT, _positive, default=None)
    result_backend: str | None = _from(env.RESULT_BACKEND, default=None)  # Celery itself reads it

    publish_patience_seconds: ClassVar[float] = 10.0
    # It publishes for tasks that it runs, which are counted themselves.
    leases: ClassVar[bool] = False

    @property
    def bound_release(self) -> str:
        """Work that a task starts stays on the release of the task."""
        return self.release

    @property
    def binding(self) -> Binding:
        """So do its far ETAs, as long as that release takes them."""
        return Binding.RELEASE

    @property
    def versioned_queues(self) -> tuple[str, ...]:
        """What it consumes, the pool's own queues first."""
        return tuple(names.versioned_queue(queue, self.release) for queue in self.queues)

    def logical_queue(self, delivery: Any) -> str:
        """The queue that a delivery came from; the SQS queue's name says it if nothing else does."""
        said = delivery if isinstance(delivery, Mapping) else {}
        routing_key = said.get("routing_key")
        parts = names.split_versioned_queue(routing_key) if isinstance(routing_key, str) else None
        if parts is not None and parts[0] in self.queues:
            return parts[0]
        twin = str(said.get("sqs_queue", "")).rpartition("/")[2]
        for queue in self.queues:
            if twin == names.fallback_queue(self.environment, queue, self.release):
                return queue
        return self.queues[0]


VARIABLES: frozenset[str] = frozenset(
    each.metadata["variable"].name
    for role in (BeatSettings, ControllerSettings, WorkerSettings)
    for each in dataclasses.fields(role)
)
