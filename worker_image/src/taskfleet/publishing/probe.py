"""Asks a broker behind an open breaker whether it is back: one thread a process, only while open."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from taskfleet.publishing.breaker import Breaker, State

logger = logging.getLogger(__name__)

PROBE_SECONDS = 1.0


class Probe:
    """Closes ``breaker`` when ``ping`` says that the broker answers. Made again in each process."""

    def __init__(self, breaker: Breaker, ping: Callable[[], bool]) -> None:
        self._breaker, self._ping = breaker, ping
        self._lock = threading.Lock()
        self._running = False

    def start(self) -> None:
        """Start probing, unless it is under way. Call it after the breaker opened, and while it is open."""
        if self._running:
            return
        with self._lock:
            if self._running:
                return
            self._running = True
        thread = threading.Thread(target=self._run, name="taskfleet-probe", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the process has as many threads as it may have
            logger.warning("the primary broker can't be probed, the next publish tries again: %s", error)
            self._running = False
        except BaseException:  # a time limit of the task that publishes
            self._running = thread.is_alive()
            raise

    def _run(self) -> None:
        logger.warning("the primary broker does not accept tasks: publishing to SQS until it answers")
        while not self._finished():
            time.sleep(PROBE_SECONDS)
            self._breaker.probed(self._answers())
        logger.warning("the primary broker answers again: publishing to it is tried again")

    def _answers(self) -> bool:
        try:
            return self._ping()
        except Exception as error:  # noqa: BLE001 - whatever it is, a thread that ends leaves the breaker open
            logger.warning("the primary broker could not be asked: %r", error)
            return False

    def _finished(self) -> bool:
        with self._lock:  # or an opening between the look and the end would find it still running
            self._running = self._breaker.state is State.OPEN
            return not self._running
