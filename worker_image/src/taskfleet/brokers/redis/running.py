"""What Celery's worker in this process is doing, as far as a transport must know it."""

from __future__ import annotations

import sys


def running_tags() -> set[str]:
    """The delivery tags of tasks that run now, unless the worker is stopping: then nothing is kept.

    These go on after the connection is lost. Everything else that the worker has fetched it forgets
    then (`celery.worker.consumer.Consumer.on_close`), so it must go back.
    """
    state = sys.modules.get("celery.worker.state")
    if state is None or stopping():
        return set()
    tags = set()
    for request in list(state.active_requests):
        tag = getattr(request.message, "delivery_tag", None)
        # Where Celery is told to kill them on a lost connection, nobody will acknowledge them.
        killed = request.task.app.conf.worker_cancel_long_running_tasks_on_connection_loss
        if isinstance(tag, str) and not killed:
            tags.add(tag)
    return tags


def stopping() -> bool:
    """Whether the worker was told to stop."""
    state = sys.modules.get("celery.worker.state")
    return state is not None and any(
        flag is not None and flag is not False for flag in (state.should_stop, state.should_terminate)
    )
