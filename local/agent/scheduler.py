"""Decide what to start and stop so that what runs becomes what ECS wants. Pure: no clock, no process.

Called again after every change, so one plan need not finish a replacement; it only takes the steps
that are allowed now.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from local.agent.model import Action, RunningTask, Service, ServiceName, Start, Stop

UNHEALTHY = "Task failed container health checks"
REPLACED = "Scaling activity initiated by a newer deployment"
SCALED_IN = "Scaling activity initiated by the service's desired count"
DELETED = "Service deleted"


def plan(
    services: Iterable[Service],
    tasks: Iterable[RunningTask],
    *,
    held: Collection[ServiceName] = (),
) -> list[Action]:
    """The steps to take now. No task is started for a service in ``held`` (its last ones failed)."""
    by_service: dict[ServiceName, list[RunningTask]] = {}
    for task in tasks:
        by_service.setdefault(task.service, []).append(task)
    actions: list[Action] = []
    for service in services:
        mine = by_service.pop(service.id, [])
        actions += _steps(service, mine, held=service.id in held or not service.launches)
    actions += [Stop(task.id, DELETED) for gone in by_service.values() for task in gone if not task.stopping]
    return actions


def settled(service: Service, tasks: Iterable[RunningTask]) -> bool:
    """Whether the service runs what it should, all of it ready, and nothing else."""
    mine = [task for task in tasks if task.service == service.id]
    return len(mine) == service.desired and all(
        task.ready and not task.stopping and task.revision == service.revision for task in mine
    )


def _steps(service: Service, tasks: list[RunningTask], *, held: bool) -> list[Action]:
    """One service: the unhealthy go first; then old for new, or the right number of current ones."""
    sick = [task for task in tasks if task.unhealthy and not task.stopping]
    live = [task for task in tasks if not task.stopping and not task.unhealthy]
    current = [task for task in live if task.revision == service.revision]
    old = [task for task in live if task.revision != service.revision]
    stops = [Stop(task.id, UNHEALTHY) for task in sick]
    stops += _surplus(current, service.desired)
    missing = max(0, service.desired - len(current))
    stops += _outdated(service, current, old, no_room_for=len(live) + missing - service.at_most)
    if old or any(task.revision != service.revision for task in tasks):
        missing = min(missing, max(0, service.at_most - len(tasks)))
    return [*stops, *([] if held else [Start(service)] * missing)]


def _surplus(current: list[RunningTask], desired: int) -> list[Stop]:
    """Too many of the right revision: those that are not ready yet first, then the newest."""
    extra = len(current) - desired
    free = sorted(
        (task for task in current if not task.protected), key=lambda task: (task.ready, -task.created_at)
    )
    return [Stop(task.id, SCALED_IN) for task in free[: max(0, extra)]]


def _outdated(
    service: Service, current: list[RunningTask], old: list[RunningTask], *, no_room_for: int
) -> list[Stop]:
    """Old ones that may go now: what does not run yet at once, what runs as far as enough remain.

    An old task is stopped once a new one is ready in its place; or earlier, if ``maximum_percent``
    leaves new ones no room beside the old. Never so many that fewer than `at_least` are left.
    """
    free = [task for task in old if not task.protected]
    ready_current = sum(task.ready for task in current)
    spare = ready_current + sum(task.running for task in old) - service.at_least
    may_stop = max(0, min(spare, max(ready_current, no_room_for)))
    if service.desired == 0:
        may_stop = len(free)
    serving = sorted((task for task in free if task.running), key=lambda task: task.created_at)
    going = [task for task in free if not task.running] + serving[:may_stop]
    return [Stop(task.id, REPLACED) for task in going]
