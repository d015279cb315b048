"""Celery's events: off until somebody asks for them (``celery control enable_events``, Flower).

A worker without heartbeat and gossip has no dispatcher in Celery, so that nobody could turn events on. Here
it has one (`prepare`), without the group `task`; while task events are on, it also sends the heartbeats that
monitors look for.
"""

from __future__ import annotations

from typing import Any

from celery.bootsteps import StartStopStep
from celery.worker.consumer.events import Events
from celery.worker.control import control_command, nok, ok
from celery.worker.heartbeat import Heart

from taskfleet.contract.environment import PRIMARY


def can_send(app: Any) -> bool:
    """Not on SQS, which has no fan-out: each event would be kept in memory for ever."""
    return bool(app.taskfleet.settings.broker == PRIMARY)


def prepare(consumer: Any, *, asked: bool) -> None:
    """Leave the group `task` out unless the application ``asked`` for it (``worker_send_task_events``).

    Before the consumer starts. Celery asks once, as it prepares to take tasks, whether the dispatcher is
    enabled, so that is on from the beginning. A subclass of Celery's step would be a second one: other
    steps require Celery's, and which of the two made the dispatcher was left to chance.
    """
    consumer.blueprint[Events.name].groups = None if asked else ["worker"]


class Heartbeats(StartStopStep):  # type: ignore[misc]
    """The step that sends heartbeats while task events are on."""

    requires = (Events,)

    def __init__(self, c: Any, **options: Any) -> None:
        super().__init__(c, **options)
        self.enabled = can_send(c.app)
        c.fleet_heart = None

    def start(self, c: Any) -> None:
        """As Celery's of heartbeats."""
        c.fleet_heart = Heart(c.timer, c.event_dispatcher)
        if _on(c.event_dispatcher):
            c.fleet_heart.start()

    def stop(self, c: Any) -> None:
        """Say to who listens that this worker goes offline."""
        heart, c.fleet_heart = c.fleet_heart, None
        if heart is not None and _on(c.event_dispatcher):
            heart.stop()

    shutdown = stop


def _on(dispatcher: Any) -> bool:
    return not dispatcher.groups or "task" in dispatcher.groups


@control_command()  # type: ignore[untyped-decorator]
def enable_events(state: Any) -> Any:
    """Tell worker(s) to send task-related events."""
    dispatcher = state.consumer.event_dispatcher
    if dispatcher is None:
        return nok("a worker on SQS sends no events")
    if _on(dispatcher):
        return ok("task events already enabled")
    dispatcher.groups.add("task")
    state.consumer.fleet_heart.start()
    return ok("task events enabled")


@control_command()  # type: ignore[untyped-decorator]
def disable_events(state: Any) -> Any:
    """Tell worker(s) to stop sending task-related events."""
    dispatcher = state.consumer.event_dispatcher
    if dispatcher is None or not _on(dispatcher):
        return ok("task events already disabled")
    state.consumer.fleet_heart.stop()
    dispatcher.groups.add("worker")  # none at all means all of them
    dispatcher.groups.discard("task")
    return ok("task events disabled")
