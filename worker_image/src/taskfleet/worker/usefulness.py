"""Whether a message that waits would be run by this worker: its health check asks that, beside the loop."""

from __future__ import annotations

import time
from typing import Any

from taskfleet.logs import logger
from taskfleet.worker.starting import Starting

# A worker that has room asks for messages at least every ten seconds (SQS's long poll).
NOT_ASKING_SECONDS = 60.0
# A child that is started anew after each task leaves its slot empty for as long as its start takes.
STARTS_WITHOUT_A_CHILD = 2


class Usefulness:
    """Looked at by the worker's main loop; keeps since when something is missing."""

    def __init__(self, consumer: Any, starting: Starting) -> None:
        self._consumer, self._starting = consumer, starting
        self._had_a_slot = self._had_no_room = time.monotonic()
        self._said: str | None = None

    def problem(self) -> str | None:
        """What keeps this worker from running what waits, or None. Said in the log when it begins."""
        found = self._starting.problem() or self._no_slot() or self._not_asking()
        if found is not None and self._said is None:
            logger.error("this worker is of no use: %s", found)
        self._said = found
        return found

    def _no_slot(self) -> str | None:
        now, limit = time.monotonic(), self._consumer.app.conf.worker_proc_alive_timeout
        if _a_child_is_ready(self._consumer.pool):
            self._had_a_slot = now
        age = now - self._had_a_slot
        if age <= max(NOT_ASKING_SECONDS, STARTS_WITHOUT_A_CHILD * limit):
            return None
        return (
            f"no child has been ready for {age:.0f} s; one that is not within `worker_proc_alive_timeout` "
            f"({limit:g} s) is killed: do its `worker_process_init` handlers take longer, or fail?"
        )

    def _not_asking(self) -> str | None:
        now, channel = time.monotonic(), getattr(self._consumer.task_consumer, "channel", None)
        # Without queues (`control cancel_consumer`) there is nothing to ask for.
        if channel is None or not channel._active_queues or not channel.qos.can_consume():
            self._had_no_room = now
            return None
        age = now - max(channel.asked_at or 0.0, self._had_no_room)
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
