"""``python -m benchmarks.publisher``: the process that `publish` measures. Prints seconds as JSON."""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
from typing import Any

from celery import Celery
from taskfleet.install import install

from benchmarks import scratch

BLOCKS = 20
PER_BLOCK = 100
WARM_UP = 100


def main() -> int:
    """Measure both."""
    plain, ours = _plain_task(), _our_task()
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    _publish(plain, WARM_UP)
    _publish(ours, WARM_UP)
    for _ in range(BLOCKS):
        seconds["plain"] += _publish(plain, PER_BLOCK)
        seconds["ours"] += _publish(ours, PER_BLOCK)
    json.dump(seconds, sys.stdout)
    return 0


def _plain_task() -> Any:
    """Celery as its documentation sets it up for a Redis with TLS."""
    app = Celery("plain", broker=os.environ[scratch.PLAIN_URL], set_as_current=False)
    app.conf.broker_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    app.conf.task_ignore_result = True
    app.conf.task_default_queue = scratch.PLAIN_QUEUE

    @app.task(name="benchmarks.nothing")  # type: ignore[untyped-decorator]
    def nothing(number: int) -> None: ...

    return nothing


def _our_task() -> Any:
    app = install(Celery("ours", set_as_current=False))
    app.conf.task_default_queue = scratch.QUEUE

    @app.task(name="benchmarks.nothing")  # type: ignore[untyped-decorator]
    def nothing(number: int) -> None: ...

    return nothing


def _publish(task: Any, times: int) -> list[float]:
    seconds = []
    for number in range(times):
        began = time.perf_counter()
        task.delay(number)
        seconds.append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
