"""Result backends take no part in a publish: one that hangs must neither hold it up nor lose it.

Celery's Redis backend subscribes to a task's result before the task is published, and again for each task of
a group after it. Here it does so when somebody waits for a result, and looks then for one that came before.

A chord is the exception: how many of its tasks are left is counted in the backend, so publishing one writes
there first, and its tasks store their results where its body is made of stored ones. ``rpc://`` can't be used
with ``ignore_result=False``: it answers in a queue of the broker that took the task, and there are two
(`taskfleet.publishing.producer`). Other backends of Celery ask nothing.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import Celery
from celery.backends.redis import RedisBackend, ResultConsumer
from celery.utils.serialization import get_pickleable_exception

from taskfleet.brokers.credentials import SecretCredentials
from taskfleet.brokers.redis.deadline import SSLConnection
from taskfleet.publishing import behalf, chord_claims, stored

logger = logging.getLogger(__name__)


class LazyConsumer(ResultConsumer):  # type: ignore[misc]
    """Subscribes when somebody waits."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._wanted: dict[str, None] = {}

    def consume_from(self, task_id: str) -> None:
        """Remember it; nothing is sent. What is no text is no task's id: its publish is refused."""
        if isinstance(task_id, str):
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


class OnBehalf:
    """Comes before a backend's own class: what it publishes itself is not lost with an error of a broker."""

    def on_chord_part_return(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """As Celery's, which publishes the chord's body when its last task has ended."""
        with behalf.keeping():
            counted = super().on_chord_part_return(request, *args, **kwargs)  # type: ignore[misc]
            while chord_claims.waited_for(self, request.group):
                counted = super().on_chord_part_return(request, *args, **kwargs)  # type: ignore[misc]
            return counted

    def mark_as_done(self, task_id: str, result: Any, request: Any = None, *more: Any, **options: Any) -> Any:
        with stored.told_apart(result, request):
            return super().mark_as_done(task_id, result, request, *more, **options)  # type: ignore[misc]

    def mark_as_failure(
        self, task_id: str, exc: Any, traceback: Any = None, request: Any = None, *more: Any, **options: Any
    ) -> Any:
        if isinstance(exc, stored.NotStored | stored.FailureNotStored):
            return None
        try:
            return super().mark_as_failure(task_id, exc, traceback, request, *more, **options)  # type: ignore[misc]
        except Exception as error:
            if request is None or request.chord:
                raise
            said = None if traceback is None else str(traceback)
            raise stored.FailureNotStored(repr(error), get_pickleable_exception(exc), said) from error

    def store_result(self, task_id: str, result: Any, state: str, *more: Any, **options: Any) -> Any:
        try:
            return super().store_result(task_id, result, state, *more, **options)  # type: ignore[misc]
        except Exception as error:
            if state not in stored.PASSING:
                raise
            logger.warning("the result backend did not take that task %s is %s: %r", task_id, state, error)

    def _call_task_errbacks(self, *args: Any, **kwargs: Any) -> Any:
        with behalf.keeping():
            return super()._call_task_errbacks(*args, **kwargs)  # type: ignore[misc]


def harden(app: Celery) -> None:
    """Have the backends that ``app`` makes, one for each thread, take no part in a publish."""
    make = app._get_backend
    app._get_backend = lambda: _harden(make())
    if app._backend is not None:
        _harden(app._backend)
    app.on_after_finalize.connect(_harden_chord_unlock, sender=app, weak=False)
    if app.finalized:
        _harden_chord_unlock(app)


def have_stored_for_a_chord(app: Celery, body: Any, options: dict[str, Any]) -> None:
    """Have the task of a chord store its result, whatever ``ignore_result`` says.

    Redis' backend carries results to the body itself. Every other reads them from where the tasks stored
    them: without one, Celery's chord waits for ever and says nothing.
    """
    headers = options.get("headers") or {}
    part_of_a_chord = isinstance(body, list | tuple) and len(body) == 3 and (body[2] or {}).get("chord")
    if part_of_a_chord and not isinstance(app.backend, RedisBackend):
        options["headers"] = {**headers, "ignore_result": False}


def _harden(backend: Any) -> Any:
    cls = type(backend)
    if not issubclass(cls, OnBehalf):
        backend.__class__ = type(cls.__name__, (OnBehalf, cls), {"__module__": cls.__module__})
    if isinstance(backend, RedisBackend):
        _read_anew_if_refused(backend)
    return _lazy(backend)


def _read_anew_if_refused(backend: RedisBackend) -> None:
    """The cache of the fleet's own: a password that it refuses is read anew for the next connection."""
    if isinstance(backend.connparams.get("credential_provider"), SecretCredentials):
        backend.connparams["connection_class"] = SSLConnection


def _harden_chord_unlock(sender: Celery, **_signal: Any) -> None:
    """It asks again with a new message each time, and at its end publishes the chord's body."""
    task = sender.tasks["celery.chord_unlock"]
    run = task.run

    def unlock(*args: Any, max_retries: int | None = None, **kwargs: Any) -> Any:
        with behalf.giving_back():
            return run(*args, max_retries=max_retries or _most_polls(sender), **kwargs)

    task.run = unlock


def _most_polls(app: Celery) -> int | None:
    """What has no result when results expire never gets one; Celery asks on for ever."""
    seconds = app.backend.expires
    return None if not seconds else int(seconds / (app.conf.result_chord_retry_interval or 1.0)) + 1


def _lazy(backend: Any) -> Any:
    # A consumer of somebody's own class is left as it is.
    if isinstance(backend, RedisBackend) and type(backend.result_consumer) is ResultConsumer:
        backend.result_consumer = LazyConsumer(
            backend, backend.app, backend.accept, backend._pending_results, backend._pending_messages
        )
    return backend
