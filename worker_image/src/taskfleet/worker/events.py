"""Celery's events: off until somebody asks for them (``celery control enable_events``, Flower).

A worker without heartbeat and gossip has no dispatcher in Celery, so that nobody could turn events on. Here
it has one, which is silent; while events are on, it also sends the heartbeats that monitors look for.
"""

from __future__ import annotations

from typing import Any

from celery.worker.consumer.events import Events as StockEvents
from celery.worker.control import control_command, nok, ok
from celery.worker.heartbeat import Heart

from taskfleet.contract.environment import PRIMARY


class Events(StockEvents):  # type: ignore[misc]
    """A step of `taskfleet.worker.consumer.Consumer`. None on SQS, which has no fan-out."""

    def __init__(self, c: Any, **options: Any) -> None:
        super().__init__(c, **options)
        # The dispatcher is on, with the group `task` left out: Celery looks once whether it is on.
        self.send_events = self.enabled = c.app.taskfleet.settings.broker == PRIMARY

    def start(self, c: Any) -> None:
        """As Celery's."""
        super().start(c)
        c.fleet_heart = Heart(c.timer, c.event_dispatcher)
        if _on(c.event_dispatcher):
            c.fleet_heart.start()


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
    if dispatcher is None or "task" not in dispatcher.groups:
        return ok("task events already disabled")
    state.consumer.fleet_heart.stop()
    dispatcher.groups.discard("task")
    return ok("task events disabled")
