"""Celery's events, as `celery events` and Flower receive them: off at first, and all of them once enabled."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from taskfleet.contract import environment as env

from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet import behalf_tasks as tasks

OF_TASKS = {
    "task-received",
    "task-started",
    "task-succeeded",
    "task-failed",
    "task-retried",
    "task-revoked",
}


class Received:
    """The events that a receiver of Celery's got, by type."""

    def __init__(self, app: Celery) -> None:
        self.events: list[dict[str, Any]] = []
        self._connection = app.connection_for_read()
        self._receiver = app.events.Receiver(self._connection, handlers={"*": self.events.append})
        self._thread = threading.Thread(target=self._receiver.capture, kwargs={"limit": None, "timeout": 60})
        self._thread.start()

    def types(self, task_id: str | None = None) -> set[str]:
        """Of all, or of one task."""
        return {event["type"] for event in list(self.events) if task_id in (None, event.get("uuid"))}

    def stop(self) -> None:
        """No more of them."""
        self._receiver.should_stop = True
        self._thread.join(timeout=10)
        self._connection.release()


@contextlib.contextmanager
def receiving(app: Celery) -> Iterator[Received]:
    """Returns when it listens: workers answer its wake-up with a heartbeat, events enabled or not."""
    received = Received(app)
    try:
        wait_for(lambda: "worker-heartbeat" in received.types(), seconds=30, what="a heartbeat")
        yield received
    finally:
        received.stop()


@pytest.mark.parametrize("execution", ["prefork", "threads", "gevent"])
def test_each_event_of_a_task_arrives_once_events_are_enabled(fleet: TinyFleet, execution: str) -> None:
    app = fleet.app()
    start(fleet, app, execution)

    with receiving(app) as received:
        silent = app.send_task("behalf.body", [[1]])
        fleet.wait_executed("body", 1)
        # Its end is an event too, if it reaches the worker's parent after the command does.
        wait_for(lambda: fleet.valkey.client().hlen("unacked") == 0, seconds=30, what="its acknowledgement")
        enabled = app.control.enable_events(reply=True, limit=1)
        sent = {
            app.send_task("behalf.body", [[2]]).id: {"task-received", "task-started", "task-succeeded"},
            app.send_task("behalf.fails-at-once").id: {"task-failed"},
            app.send_task("behalf.retries-once").id: {"task-retried", "task-succeeded"},
            revoked(app): {"task-revoked"},
        }
        for task_id, types in sent.items():
            wait_for(lambda i=task_id, t=types: t <= received.types(i), seconds=30, what=f"{types}")  # type: ignore[misc]

    assert list(enabled[0].values()) == [{"ok": "task events enabled"}]
    assert received.types(silent.id) == set()
    assert {"worker-online", *OF_TASKS} <= received.types()


def revoked(app: Celery) -> str:
    result = app.send_task("behalf.body", [[3]], countdown=2)
    result.revoke()
    return result.id


def test_they_outlive_a_lost_connection_and_end_when_they_are_disabled(fleet: TinyFleet) -> None:
    app = fleet.app()
    start(fleet, app, "prefork")
    app.control.enable_events(reply=True, limit=1)
    fleet.valkey.client().client_kill_filter(_type="normal", skipme=True)
    fleet.valkey.client().client_kill_filter(_type="pubsub", skipme=True)
    app = fleet.app()

    with receiving(app) as received:
        first = app.send_task("behalf.body", [[1]])
        wait_for(lambda: "task-succeeded" in received.types(first.id), seconds=30, what="its events")
        disabled = app.control.disable_events(reply=True, limit=1)
        again = app.control.disable_events(reply=True, limit=1)
        second = app.send_task("behalf.body", [[2]], {"run": "second"})
        fleet.wait_executed("second", 1)

    assert list(disabled[0].values()) == [{"ok": "task events disabled"}]
    assert list(again[0].values()) == [{"ok": "task events already disabled"}]
    assert received.types(second.id) == set()
    assert "worker-offline" in received.types()


def start(fleet: TinyFleet, app: Celery, execution: str) -> None:
    """Start a worker; it subscribes to commands an instant after it is ready."""
    settings = {env.APP.name: "tests.taskfleet.behalf_tasks:app", tasks.BACKEND: fleet.valkey.url}
    fleet.start_worker("r1", **settings, **{env.EXECUTION.name: execution})
    wait_for(lambda: app.control.ping(limit=1), seconds=30, what="a pong")
