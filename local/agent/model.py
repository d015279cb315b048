"""What the agent looks at: services as ECS wants them, tasks as they run here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class ServiceName:
    """A service's identity."""

    cluster: str
    name: str


@dataclass(frozen=True)
class Revision:
    """What a task was started from. A task of another revision than its service's is replaced.

    ``deployment`` changes without the task definition when a new deployment is forced; ``reload`` when
    a file of the live image changed.
    """

    task_definition: str
    deployment: str
    reload: int = 0


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service as ECS wants it. The percentages bound a replacement, of ``desired``.

    ``launches`` is False after the circuit breaker gave the deployment up: nothing more is started.
    """

    id: ServiceName
    desired: int
    revision: Revision
    minimum_healthy_percent: int = 100
    maximum_percent: int = 200
    launches: bool = True

    @property
    def at_least(self) -> int:
        """Ready tasks that a replacement must leave; ECS rounds up."""
        return -(-self.desired * self.minimum_healthy_percent // 100)

    @property
    def at_most(self) -> int:
        """Tasks that a replacement may have, stopping ones included; ECS rounds down."""
        return max(self.desired, self.desired * self.maximum_percent // 100)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A task that somebody asked for with RunTask: it is of no service, and is started once.

    ``command``, if there is one, takes the place of the definition's; ``environment`` is added to its.
    """

    id: str
    cluster: str
    task_definition: str
    group: str
    started_by: str
    command: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def name(self) -> str:
        """What its logs are kept under: the definition's family."""
        return self.group.rpartition(":")[2]


@dataclass(frozen=True, kw_only=True)
class RunningTask:
    """A task that has not stopped yet.

    ``running``: its command runs. ``ready``: also healthy if it has a health check, else steady; only
    then may it take an old one's place. An old one serves as long as it runs.
    """

    id: str
    service: ServiceName
    revision: Revision
    created_at: float
    stopping: bool = False
    running: bool = False
    ready: bool = False
    unhealthy: bool = False
    protected: bool = False


@dataclass(frozen=True)
class Start:
    """Start one task of the service."""

    service: Service


@dataclass(frozen=True)
class Stop:
    """Stop a task; ``reason`` is what ECS would say."""

    task: str
    reason: str


Action = Start | Stop
