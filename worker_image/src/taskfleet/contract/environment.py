"""The names of the environment variables of the containers, each once.

What a container gets and what it reads is one dataclass for each role, `taskfleet.settings`: ``infra`` writes
it (`to_environ`), the process reads it (`from_environ`). A new setting is a field there, and its use.
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


@dataclass(frozen=True)
class Variable:
    """One environment variable."""

    name: str
    help: str


ENVIRONMENT = Variable("TASKFLEET_ENVIRONMENT", "local, dev, staging, prod, …")
BROKER_HOST = Variable("TASKFLEET_BROKER_HOST", "the primary broker's endpoint")
BROKER_PORT = Variable("TASKFLEET_BROKER_PORT", "its port, TLS")
APP = Variable("TASKFLEET_APP", "the Celery application, as `module:attribute`")

# The values of `BROKER`, and of the broker in a gate proof.
PRIMARY = "primary"
FALLBACK = "fallback"

RELEASE = Variable("TASKFLEET_RELEASE", "the release that this worker belongs to")
POOL = Variable("TASKFLEET_POOL", "the pool that this worker belongs to")
QUEUES = Variable("TASKFLEET_QUEUES", "logical queues to consume, by comma: own ones, then helped ones")
BROKER = Variable("TASKFLEET_BROKER", "`primary` (Redis) or `fallback` (SQS): where this worker consumes")
EXECUTION = Variable("TASKFLEET_EXECUTION", "`prefork`, `threads` or `gevent`")
CONCURRENCY = Variable("TASKFLEET_CONCURRENCY", "slots of one worker")
CHILD_MEMORY_MIB = Variable(
    "TASKFLEET_CHILD_MEMORY_MIB", "peak memory after which a prefork child is replaced"
)
MAX_TASKS_PER_CHILD = Variable("TASKFLEET_MAX_TASKS_PER_CHILD", "tasks until a child is replaced")
VISIBILITY_TIMEOUT_SECONDS = Variable(
    "TASKFLEET_VISIBILITY_TIMEOUT_SECONDS",
    "until a stock worker's message is given to another; ours are given on when their worker's lease ends",
)
LEASE_SECONDS = Variable(
    "TASKFLEET_LEASE_SECONDS",
    "how long its messages stay its own when it does not answer; the broker's unless set",
)
SOFT_TIME_LIMIT_SECONDS = Variable(
    "TASKFLEET_SOFT_TIME_LIMIT_SECONDS", "a task without its own limit gets SoftTimeLimitExceeded"
)
TIME_LIMIT_SECONDS = Variable("TASKFLEET_TIME_LIMIT_SECONDS", "… and is killed")
SOFT_SHUTDOWN_SECONDS = Variable(
    "TASKFLEET_SOFT_SHUTDOWN_SECONDS", "what running tasks get to finish after SIGTERM"
)

# Have defaults, and are set where an environment's settings ask for it.
LOG_LEVEL = Variable("TASKFLEET_LOG_LEVEL", "INFO unless set")
PINNED_RELEASE = Variable(
    "TASKFLEET_PINNED_RELEASE", "a producer that publishes to this release, not to the current one"
)
PAYLOAD_WARNING_BYTES = Variable(
    "TASKFLEET_PAYLOAD_WARNING_BYTES",
    "a task whose arguments are larger is published with a warning; none unless set",
)
INCLUDE = Variable(
    "TASKFLEET_INCLUDE", "modules with tasks that a worker has beside its application's, by comma"
)
BUILD = Variable("TASKFLEET_BUILD", "the build that this worker is of, where releases are rolled")
ACCEPTED_BREAKS = Variable(
    "TASKFLEET_ACCEPTED_BREAKS", "tasks whose signatures may break what the build before takes, by comma"
)
RESULT_BACKEND = Variable(
    "CELERY_RESULT_BACKEND", "where results are kept, read by Celery itself: before what the application says"
)
METRICS_PORT_DEFAULT = 9808
METRICS_PORT = Variable(
    "TASKFLEET_METRICS_PORT",
    f"the controller's `/metrics`, {METRICS_PORT_DEFAULT} unless set; a worker's, none unless set",
)
