"""A busy worker is under ECS's scale-in protection, and one that shall go stops fetching first.

ECS takes away no protected worker when it scales in, nor in a deployment. The container asks the ECS agent
(``$ECS_AGENT_URI/task-protection/v1/state``, ECS guide, "Task scale-in protection endpoint"), which asks ECS
with the task's role. Without an agent, or while it does not answer, the worker is as safe as its stop window
is long. A worker of several slots may never be idle: the controller marks those that shall go
(`taskfleet.scaling.marks`), and a marked one takes nothing new.
"""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import redis
from celery.worker import state

from taskfleet.brokers import connections
from taskfleet.contract import environment, names
from taskfleet.logs import logger
from taskfleet.scaling import marks
from taskfleet.worker import draining

AGENT = "ECS_AGENT_URI"
PATH = "/task-protection/v1/state"
# Asked anew once half of it is over: a worker that is killed is protected for no longer than this.
MINUTES = 10
# UpdateTaskProtection is throttled for the whole account: who is busy and idle by turns asks seldom.
BETWEEN_SECONDS = 10.0
AGAIN_SECONDS, LONGEST_AGAIN_SECONDS = 5.0, 60.0
MARKS_EVERY_SECONDS = 5.0
TIMEOUT_SECONDS = 2.0


def put(uri: str, protected: bool) -> str:
    """Ask the agent; the task's id. ``OSError`` or ``ValueError`` if it does not answer as documented."""
    asked: dict[str, Any] = {"ProtectionEnabled": protected}
    if protected:
        asked["ExpiresInMinutes"] = MINUTES
    request = urllib.request.Request(  # noqa: S310 - ECS gives the URI
        uri + PATH, json.dumps(asked).encode(), {"Content-Type": "application/json"}, method="PUT"
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:  # noqa: S310 - as above
        answer = json.load(reply)
    if "protection" not in answer:
        raise ValueError(f"the ECS agent answered {answer!r}")
    return str(answer["protection"].get("TaskArn", "")).rpartition("/")[2]


class Protection:
    """What was asked of the agent, and what shall be asked now. Times are those of ``clock``, in seconds."""

    def __init__(self, ask: Callable[[bool], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._clock = ask, clock
        self.task_id: str | None = None
        self.protected = False
        self._asked_at = self._until = self._not_before = float("-inf")
        self._again = AGAIN_SECONDS

    def step(self, busy: bool) -> None:
        """Ask if it is time to: at once for a busy worker, seldom for one that is so by turns."""
        now = self._clock()
        extend = busy and self.protected and now >= self._until - 30 * MINUTES
        begin = busy and not self.protected
        end = not busy and self.protected and now >= self._asked_at + BETWEEN_SECONDS
        if not (begin or extend or end) or now < self._not_before:
            return
        try:
            self.task_id = self._ask(busy) or self.task_id
        except (OSError, ValueError) as error:
            logger.warning("the ECS agent does not change the scale-in protection, trying on: %s", error)
            self._not_before, self._again = now + self._again, min(2 * self._again, LONGEST_AGAIN_SECONDS)
            if now >= self._until:
                self.protected = False
            return
        self.protected, self._asked_at, self._again = busy, now, AGAIN_SECONDS
        self._until = now + 60 * MINUTES if busy else now


class Protecting:
    """Of one worker process: a thread asks, the main loop says whether it is busy and heeds the mark."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._uri = os.environ.get(AGENT)
        self._busy, self._marked, self.quiet = False, False, False
        self._wake, self._over = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._marks_at = 0.0
        self._client: redis.Redis | None = None

    def received(self) -> None:
        """A message came: what it starts shall not be taken away."""
        if not self._busy:
            self._busy = True
            self._wake.set()

    def step(self) -> None:
        """From the main loop, about once a second."""
        if self._uri is None:
            return
        if self._thread is None:
            self._start()
        self._busy = bool(state.reserved_requests)
        self._wake.set()
        if self._marked is not self.quiet and not draining.asked():
            self._heed(self._marked)

    def forget(self) -> None:
        """The connection is another: its consumer fetches."""
        self.quiet = False

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()
        self._wake.set()

    def _heed(self, marked: bool) -> None:
        self.quiet = marked
        if marked:
            logger.info("this worker is one too many: it fetches no more, and goes once nothing runs")
            self._consumer.task_consumer.cancel()
        else:
            logger.info("this worker is needed again: it fetches")
            self._consumer.task_consumer.consume()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="taskfleet-protection", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # this process has as many threads as it may have
            logger.warning("no thread can be started to ask for protection, trying on: %s", error)
            self._thread = None

    def _run(self) -> None:
        uri = str(self._uri)
        protection = Protection(lambda protected: put(uri, protected))
        while not self._over.is_set():
            self._wake.wait(MARKS_EVERY_SECONDS)
            self._wake.clear()
            try:
                protection.step(self._busy)
                self._look_for_mark(protection.task_id)
            except Exception:  # noqa: BLE001 - whatever it is, a thread that ends protects nothing any more
                logger.exception("scale-in protection failed, trying on")

    def _look_for_mark(self, task_id: str | None) -> None:
        settings = self._consumer.app.taskfleet.settings
        now = time.monotonic()
        if task_id is None or settings.broker != environment.PRIMARY or now < self._marks_at:
            return
        self._marks_at = now + MARKS_EVERY_SECONDS
        if self._client is None:
            self._client = connections.primary_client(settings, timeout_seconds=TIMEOUT_SECONDS)
        service = names.service(settings.pool, settings.release)
        try:
            self._marked = marks.is_marked(self._client, service, task_id)
        except (redis.RedisError, OSError):
            self._marked = False  # the broker is away: who comes back fetches
