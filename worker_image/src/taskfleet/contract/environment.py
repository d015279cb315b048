"""The environment variables of the containers: each name once, with who must have it.

``infra`` gives a container exactly `required(role)` (and `OPTIONAL` where a setting asks for it);
``taskfleet.settings`` reads the same. A test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Who reads a variable."""

    PRODUCER = "producer"
    WORKER = "worker"
    BEAT = "beat"
    CONTROLLER = "controller"


_ALL = frozenset(Role)
_WORKER = frozenset({Role.WORKER})


@dataclass(frozen=True)
class Variable:
    """One environment variable. ``roles`` are those that can't start without it."""

    name: str
    help: str
    roles: frozenset[Role]


ENVIRONMENT = Variable("TASKFLEET_ENVIRONMENT", "local, dev, staging, prod, …", _ALL)
BROKER_HOST = Variable("TASKFLEET_BROKER_HOST", "the primary broker's endpoint", _ALL)
BROKER_PORT = Variable("TASKFLEET_BROKER_PORT", "its port, TLS", _ALL)
APP = Variable(
    "TASKFLEET_APP",
    "the Celery application, as `module:attribute`",
    frozenset({Role.WORKER, Role.BEAT, Role.CONTROLLER}),
)

# The values of `BROKER`, and of the broker in a gate proof.
PRIMARY = "primary"
FALLBACK = "fallback"

RELEASE = Variable("TASKFLEET_RELEASE", "the release that this worker belongs to", _WORKER)
POOL = Variable("TASKFLEET_POOL", "the pool that this worker belongs to", _WORKER)
QUEUES = Variable(
    "TASKFLEET_QUEUES", "logical queues to consume, by comma: own ones, then helped ones", _WORKER
)
BROKER = Variable(
    "TASKFLEET_BROKER", "`primary` (Redis) or `fallback` (SQS): where this worker consumes", _WORKER
)
EXECUTION = Variable("TASKFLEET_EXECUTION", "`prefork`, `threads` or `gevent`", _WORKER)
CONCURRENCY = Variable("TASKFLEET_CONCURRENCY", "slots of one worker", _WORKER)
CHILD_MEMORY_MIB = Variable(
    "TASKFLEET_CHILD_MEMORY_MIB", "peak memory after which a prefork child is replaced", _WORKER
)
MAX_TASKS_PER_CHILD = Variable("TASKFLEET_MAX_TASKS_PER_CHILD", "tasks until a child is replaced", _WORKER)
VISIBILITY_TIMEOUT_SECONDS = Variable(
    "TASKFLEET_VISIBILITY_TIMEOUT_SECONDS",
    "until a stock worker's message is given to another; ours are given on when their worker's lease ends",
    _WORKER,
)
SOFT_TIME_LIMIT_SECONDS = Variable(
    "TASKFLEET_SOFT_TIME_LIMIT_SECONDS", "a task without its own limit gets SoftTimeLimitExceeded", _WORKER
)
TIME_LIMIT_SECONDS = Variable("TASKFLEET_TIME_LIMIT_SECONDS", "… and is killed", _WORKER)
SOFT_SHUTDOWN_SECONDS = Variable(
    "TASKFLEET_SOFT_SHUTDOWN_SECONDS", "what running tasks get to finish after SIGTERM", _WORKER
)

# Have defaults, and are set where an environment's settings ask for it.
LOG_LEVEL = Variable("TASKFLEET_LOG_LEVEL", "INFO unless set", frozenset())
PINNED_RELEASE = Variable(
    "TASKFLEET_PINNED_RELEASE",
    "a producer that publishes to this release, not to the current one",
    frozenset(),
)
PAYLOAD_WARNING_BYTES = Variable(
    "TASKFLEET_PAYLOAD_WARNING_BYTES",
    "a task whose arguments are larger is published with a warning; none unless set",
    frozenset(),
)
INCLUDE = Variable(
    "TASKFLEET_INCLUDE",
    "modules with tasks that a worker has beside its application's, by comma",
    frozenset(),
)
BUILD = Variable(
    "TASKFLEET_BUILD", "the build that this worker is of, where releases are rolled", frozenset()
)
ACCEPTED_BREAKS = Variable(
    "TASKFLEET_ACCEPTED_BREAKS",
    "tasks whose signatures may break what the build before takes, by comma",
    frozenset(),
)
RESULT_BACKEND = Variable(
    "CELERY_RESULT_BACKEND",
    "where results are kept, read by Celery itself: before what the application says",
    frozenset(),
)
METRICS_PORT_DEFAULT = 9808
METRICS_PORT = Variable(
    "TASKFLEET_METRICS_PORT",
    f"the controller's `/metrics`, {METRICS_PORT_DEFAULT} unless set; a worker's, none unless set",
    frozenset(),
)

VARIABLES: tuple[Variable, ...] = tuple(v for v in list(globals().values()) if isinstance(v, Variable))
OPTIONAL: tuple[Variable, ...] = tuple(v for v in VARIABLES if not v.roles)


def required(role: Role) -> tuple[Variable, ...]:
    """What a container of this role can't start without."""
    return tuple(v for v in VARIABLES if role in v.roles)
