"""Which queue an application asks for, for a task of its."""

from __future__ import annotations

from typing import Any


def asked_queue(task: Any) -> str:
    """The task's own queue, or that of a route, or the application's default; maybe with a release."""
    wanted = getattr(task, "queue", None)
    routed = (
        wanted or task.app.amqp.router.route({}, task.name).get("queue") or task.app.conf.task_default_queue
    )
    return str(getattr(routed, "name", routed))
