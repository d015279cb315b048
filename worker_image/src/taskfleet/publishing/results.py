"""Result backends take no part in a publish: one that hangs must neither hold it up nor lose it.

Celery's Redis backend subscribes to a task's result before the task is published, and again for each task of
a group after it. Here it does so when somebody waits for a result, and looks then for one that came before.

A chord is the exception: how many of its tasks are left is counted in the backend, so publishing one writes
there first. ``rpc://`` can't be used with ``ignore_result=False``: it answers in a queue of the broker that
took the task, and there are two (`taskfleet.publishing.producer`). Other backends of Celery ask nothing.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.backends.redis import RedisBackend, ResultConsumer


class LazyConsumer(ResultConsumer):  # type: ignore[misc]
    """Subscribes when somebody waits."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._wanted: dict[str, None] = {}

    def consume_from(self, task_id: str) -> None:
        """Remember it; nothing is sent."""
        self._wanted[task_id] = None

    def cancel_for(self, task_id: str) -> None:
        """As Celery's."""
        self._wanted.pop(task_id, None)
        super().cancel_for(task_id)

    def on_wait_for_pending(self, result: Any, **options: Any) -> None:
        """As Celery's: it reads what is there already, which must come after subscribing."""
        self._subscribe()
        super().on_wait_for_pending(result, **options)

    def drain_events(self, timeout: float | None = None) -> None:
        """As Celery's; what was asked for since the wait began is subscribed to and read, too."""
        keys = [self._get_key_for_task(task_id) for task_id in self._subscribe()]
        if keys:
            with self.reconnect_on_error():
                for meta in filter(None, self.backend.client.mget(keys)):
                    self.on_state_change(self._decode_result(meta), None)
        super().drain_events(timeout)

    def on_after_fork(self) -> None:
        """As Celery's."""
        self._wanted.clear()
        super().on_after_fork()

    def _subscribe(self) -> list[str]:
        # Locked, so that nobody takes for subscribed what another thread is about to subscribe to.
        with self._locked():
            wanted = list(self._wanted)
            for task_id in wanted:
                self._wanted.pop(task_id, None)
                super().consume_from(task_id)
        return wanted


def harden(app: Celery) -> None:
    """Have the backends that ``app`` makes, one for each thread, take no part in a publish."""
    make = app._get_backend
    app._get_backend = lambda: _lazy(make())
    if app._backend is not None:
        _lazy(app._backend)


def _lazy(backend: Any) -> Any:
    # A consumer of somebody's own class is left as it is.
    if isinstance(backend, RedisBackend) and type(backend.result_consumer) is ResultConsumer:
        backend.result_consumer = LazyConsumer(
            backend, backend.app, backend.accept, backend._pending_results, backend._pending_messages
        )
    return backend
