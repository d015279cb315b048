"""Hands over what this worker counted to the primary broker, every ten seconds, from a thread of its own.

While Redis is away the counts wait here, in no more memory than before: the same counts grow. What Redis did
not answer is sent again as it was, and counts once.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import redis
from botocore.exceptions import BotoCoreError, ClientError

from taskfleet.brokers import connections
from taskfleet.contract import figures
from taskfleet.logs import logger
from taskfleet.measuring import adding
from taskfleet.worker.tally import Tally

TIMEOUT_SECONDS = 2.0
# As a worker ends: what is not taken by then is lost.
LAST_SECONDS = 2.0
# The password comes from Secrets Manager, so reaching the broker can fail there too.
_ERRORS = (redis.RedisError, OSError, BotoCoreError, ClientError)


class Reporting:
    """Of one worker process."""

    def __init__(self, settings: Any, tally: Tally) -> None:
        self._settings, self._tally = settings, tally
        self._sender = os.urandom(8).hex()
        self._next_number = 1
        self._batch: list[adding.Page] = []  # sent, and not answered
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._client: redis.Redis | None = None
        self._failing = False

    def step(self) -> None:
        """From the main loop, about once a second: begin, unless it has."""
        if self._thread is not None:
            return
        thread = threading.Thread(target=self._run, name="taskfleet-figures", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # this process has as many threads as it may have
            logger.warning("no thread can be started to hand over figures, trying on: %s", error)
        else:
            self._thread = thread

    def stop(self) -> None:
        """Hand over the last; this process is about to end."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(LAST_SECONDS)

    def _run(self) -> None:
        while not self._over.wait(figures.EVERY_SECONDS):
            self._hand_over()
        self._hand_over()

    def _hand_over(self) -> None:
        try:
            self._send()
        except _ERRORS as error:
            if not self._failing:
                logger.warning("figures of tasks wait in this worker, Redis does not take them: %s", error)
            self._failing = True
        except Exception:  # noqa: BLE001 - whatever it is, a thread that ends hands over nothing any more
            logger.exception("figures of tasks could not be handed over, trying on")
        else:
            self._failing = False

    def _send(self) -> None:
        for _ in range(2):  # what was not answered, then what is new
            if not self._batch:
                self._batch = adding.pages(self._tally.take(), first=self._next_number)
                self._next_number += len(self._batch)
            if not self._batch:
                return
            adding.add(
                self._connection(),
                self._settings.environment,
                self._settings.release,
                self._batch,
                sender=self._sender,
            )
            self._batch = []

    def _connection(self) -> redis.Redis:
        if self._client is None:
            self._client = connections.primary_client(self._settings, timeout_seconds=TIMEOUT_SECONDS)
        return self._client
