"""Whether a message that waits would be run by this worker: its health check asks that, beside the loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from taskfleet.logs import logger
from taskfleet.worker.starting import Starting

# A worker that has room asks for messages at least every ten seconds (SQS's long poll).
NOT_ASKING_SECONDS = 60.0
# A child that is started anew after each task leaves its slot empty for as long as its start takes.
STARTS_WITHOUT_A_CHILD = 2
# Between two looks no more than this counts: a loop that did not turn (its process was stopped, or starved)
# saw nothing, and that is no fault of its children or its broker.
MOST_BETWEEN_LOOKS_SECONDS = 5.0


class Usefulness:
    """Looked at by the worker's main loop; keeps since when something is missing, in seconds of looking."""

    def __init__(
        self, consumer: Any, starting: Starting, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._consumer, self._starting, self._clock = consumer, starting, clock
        self._looked_at = clock()
        self._watched = 0.0
        self._had_a_slot = self._had_no_room = self._asked = 0.0
        self._asked_at: float | None = None  # as the channel says
        self._said: str | None = None

    def problem(self) -> str | None:
        """What keeps this worker from running what waits, or None. Said in the log when it begins."""
        now = self._clock()
        self._watched += min(now - self._looked_at, MOST_BETWEEN_LOOKS_SECONDS)
        self._looked_at = now
        found = self._starting.problem() or self._no_slot() or self._not_asking()
        if found is not None and self._said is None:
            logger.error("this worker is of no use: %s", found)
        self._said = found
        return found

    def _no_slot(self) -> str | None:
        limit = self._consumer.app.conf.worker_proc_alive_timeout
        if _a_child_is_ready(self._consumer.pool):
            self._had_a_slot = self._watched
        age = self._watched - self._had_a_slot
        if age <= max(NOT_ASKING_SECONDS, STARTS_WITHOUT_A_CHILD * limit):
            return None
        return (
            f"no child has been ready for {age:.0f} s; one that is not within `worker_proc_alive_timeout` "
            f"({limit:g} s) is killed: do its `worker_process_init` handlers take longer, or fail?"
        )

    def _not_asking(self) -> str | None:
        channel = getattr(self._consumer.task_consumer, "channel", None)
        # Without queues (`control cancel_consumer`) there is nothing to ask for.
        if channel is None or not channel._active_queues or not channel.qos.can_consume():
            self._had_no_room = self._watched
            return None
        if channel.asked_at != self._asked_at:
            self._asked_at, self._asked = channel.asked_at, self._watched
        age = self._watched - max(self._asked, self._had_no_room)
        return (
            f"it has room, and last asked for messages {age:.0f} s ago" if age > NOT_ASKING_SECONDS else None
        )


def _a_child_is_ready(pool: Any) -> bool:
    """Threads and greenlets need no start."""
    processes: Any = getattr(pool, "_pool", None)
    if not hasattr(processes, "_all_inqueues"):
        return True
    # The pipes of the children that have said that they are up.
    ready = processes._all_inqueues
    return any(child.inqW_fd in ready and child._is_alive() for child in list(processes._pool))
