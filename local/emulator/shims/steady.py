"""CloudFormation waits for ECS services: a stack is through only when its services run, as in AWS.

MiniStack makes one resource after the other. Waiting at each service would add up the start-up of all
of them, so the services of a stack are made one after the other and the last one waits for all. One that
depends on others waits for those before it is made, or changed.
"""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ministack.services import ecs
from ministack.services.cloudformation import engine, provisioners, stacks

from local.emulator.shims import deployments

SERVICE = "AWS::ECS::Service"
# CloudFormation itself waits for three hours; nobody does at a desk.
PATIENCE_SECONDS = 180


@dataclass
class _Wait:
    """The services of the stack operation that runs in this context."""

    last: str = ""
    after_others: frozenset[str] = frozenset()
    arns: list[str] = field(default_factory=list)


_wait: contextvars.ContextVar[_Wait | None] = contextvars.ContextVar("steady", default=None)


def together(order: list[str], resources: dict[str, Any], needs: Callable[[str], set[str]]) -> list[str]:
    """The same order with the services side by side, where dependencies allow it."""
    services = [name for name in order if resources[name].get("Type") == SERVICE]
    after: set[str] = set()
    for name in order:
        if name not in services and needs(name) & (after | set(services)):
            after.add(name)
    if any(needs(service) & after for service in services):
        return order
    before = [name for name in order if name not in after and name not in services]
    return [*before, *services, *(name for name in order if name in after)]


def _sorted(resources: dict[str, Any], conditions: dict[str, Any]) -> list[str]:
    def needs(name: str) -> set[str]:
        return set(engine._extract_deps(resources[name], set(resources)))

    order = together(engine._topological_sort(resources, conditions), resources, needs)
    services = [name for name in order if resources[name].get("Type") == SERVICE]
    after_others = frozenset(name for name in services if needs(name) & set(services))
    for service in ecs._services.values():
        service.pop("_failed_deployment", None)  # of an earlier operation
    _wait.set(_Wait(last=services[-1], after_others=after_others) if services else None)
    return order


def _await_steady(arns: list[str]) -> None:
    """Return when all are steady. Raises ``ValueError`` if one failed, or after `PATIENCE_SECONDS`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while deployments.agent_is_there():  # with nobody to run tasks there is nothing to wait for
        waiting = [name for name in map(_state, arns) if name]
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise ValueError(
                f"{', '.join(waiting)} not steady after {PATIENCE_SECONDS} s (see the agent's log)"
            )
        time.sleep(0.2)


def _state(arn: str) -> str | None:
    """None if the service is steady, else its name."""
    service = ecs._services.get(arn.rpartition(":service/")[2])
    if service is None or service["status"] != "ACTIVE":
        return None
    name = str(service["serviceName"])
    if service.get("_failed_deployment"):
        raise ValueError(
            f"Error occurred during operation 'ECS Deployment Circuit Breaker was triggered' of {name}"
        )
    primary = next(d for d in service["deployments"] if d["status"] == "PRIMARY")
    return None if primary["rolloutState"] == "COMPLETED" else name


def _delete(arn: str, _: str, __: str, properties: dict[str, Any], ___: str) -> None:
    """A service that failed while it was made is not in the stack's record: nobody else would delete it."""
    provisioners._delete_resource(SERVICE, arn, properties)


def _leave(*_: Any) -> None:
    """A failed update is sent back by the stack's own rollback."""


def _waiting(
    provision: Callable[..., Any], *, logical_id_at: int, undo: Callable[..., None]
) -> Callable[..., Any]:
    """The same, and then wait if this was the operation's last service."""

    def run(*given: Any) -> Any:
        wait = _wait.get()
        if given[0] == SERVICE and wait is not None and given[logical_id_at] in wait.after_others:
            _await_steady(wait.arns)
        result = provision(*given)
        if given[0] == SERVICE and wait is not None:
            wait.arns.append(result[0][0])
            if given[logical_id_at] == wait.last:
                try:
                    _await_steady(wait.arns)
                except ValueError:
                    undo(result[0][0], *given)
                    raise
        return result

    return run


def register() -> None:
    """Put the waiting into MiniStack's stack operations, on threads: its loop must go on serving."""
    blocking = stacks._runs_on_worker_thread
    stacks._runs_on_worker_thread = lambda name: name == SERVICE or blocking(name)
    stacks._topological_sort = _sorted
    stacks._provision_keeping_seed = _waiting(stacks._provision_keeping_seed, logical_id_at=1, undo=_delete)
    stacks._update_keeping_seed = _waiting(stacks._update_keeping_seed, logical_id_at=5, undo=_leave)
