"""Read a task definition as `DescribeTaskDefinition` returns it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

MIB = 1024 * 1024

# ECS, ContainerDefinition: what holds where the definition says nothing.
DEFAULT_STOP_TIMEOUT_SECONDS = 30


class StartError(Exception):
    """The task can't be started. The message is the task's stopped reason, in ECS's form."""


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """A container's health check; defaults and ``CMD``/``CMD-SHELL`` as in ECS."""

    command: tuple[str, ...]
    interval_seconds: float = 30
    timeout_seconds: float = 5
    retries: int = 3
    start_period_seconds: float = 0


@dataclass(frozen=True)
class Stream:
    """Where the driver `awslogs` writes: ``prefix`` is followed by the task's id."""

    group: str
    prefix: str


@dataclass(frozen=True, kw_only=True)
class Definition:
    """The one container of a task definition. ``memory_bytes`` is its hard limit, ``role`` its role."""

    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    stop_timeout_seconds: float
    memory_bytes: int | None
    health_check: HealthCheck | None
    working_directory: str | None
    role: str | None = None
    entry_point: tuple[str, ...] = ()
    stream: Stream | None = None

    def of_run(self, command: tuple[str, ...], environment: Mapping[str, str]) -> Definition:
        """With what RunTask overrides."""
        chosen = (*self.entry_point, *command) if command else self.command
        return replace(self, command=chosen, environment={**self.environment, **environment})


def parse(task_definition: Mapping[str, Any]) -> Definition:
    """Raises `StartError` for what the agent can't run: more than one container, no command."""
    containers = task_definition.get("containerDefinitions", [])
    if len(containers) != 1:
        names = ", ".join(c.get("name", "?") for c in containers)
        raise StartError(f"the agent runs tasks of one container; this one has {len(containers)}: {names}")
    container = containers[0]
    command = (*container.get("entryPoint", ()), *container.get("command", ()))
    if not command:
        raise StartError("the container has no command: give it one, the agent does not know the image's own")
    return Definition(
        image=container["image"],
        command=command,
        environment={e["name"]: e["value"] for e in container.get("environment", ())},
        secrets={s["name"]: s["valueFrom"] for s in container.get("secrets", ())},
        stop_timeout_seconds=float(container.get("stopTimeout", DEFAULT_STOP_TIMEOUT_SECONDS)),
        memory_bytes=_memory(task_definition, container),
        health_check=_health_check(container.get("healthCheck")),
        working_directory=container.get("workingDirectory"),
        role=str(task_definition.get("taskRoleArn") or "").rpartition("/")[2] or None,
        entry_point=tuple(container.get("entryPoint", ())),
        stream=_stream(container),
    )


def _stream(container: Mapping[str, Any]) -> Stream | None:
    logging = container.get("logConfiguration", {})
    if logging.get("logDriver") != "awslogs":
        return None
    options = logging["options"]
    return Stream(options["awslogs-group"], f"{options['awslogs-stream-prefix']}/{container['name']}")


def _memory(task_definition: Mapping[str, Any], container: Mapping[str, Any]) -> int | None:
    """The smaller of the task's and the container's hard limit; both are in MiB."""
    limits = [int(m["memory"]) for m in (task_definition, container) if m.get("memory")]
    return min(limits) * MIB if limits else None


def _health_check(check: Mapping[str, Any] | None) -> HealthCheck | None:
    if not check or not check.get("command") or check["command"][0] == "NONE":
        return None
    kind, *rest = check["command"]
    command = {"CMD": rest, "CMD-SHELL": ["/bin/sh", "-c", *rest]}.get(kind, [kind, *rest])
    return HealthCheck(
        command=tuple(command),
        interval_seconds=float(check.get("interval", 30)),
        timeout_seconds=float(check.get("timeout", 5)),
        retries=int(check.get("retries", 3)),
        start_period_seconds=float(check.get("startPeriod", 0)),
    )
