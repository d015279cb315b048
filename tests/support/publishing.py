"""Many threads that publish at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from celery import Celery
from taskfleet.errors import TaskfleetError


def in_threads(
    app: Celery, *, threads: int, times: int = 1, queue: str = "low"
) -> tuple[list[float], list[TaskfleetError]]:
    """How long each publish took, and what was raised; all threads begin together."""
    took: list[float] = []
    refused: list[TaskfleetError] = []

    def publish() -> None:
        began = time.monotonic()
        try:
            app.send_task("anything", queue=queue)
        except TaskfleetError as error:
            refused.append(error)
        took.append(time.monotonic() - began)

    together(publish, threads=threads, times=times)
    assert len(took) == threads * times
    return took, refused


def together(call: Callable[[], object], *, threads: int, times: int = 1) -> None:
    """Call it in each of so many threads so many times; all begin together."""
    start = threading.Barrier(threads)

    def run() -> None:
        start.wait(10)
        for _ in range(times):
            call()

    started = [threading.Thread(target=run) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join(60)
