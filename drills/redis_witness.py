"""Somebody who writes to Redis beside a drill's load: a plain redis-py client in a process of its own.

``python -m drills.redis_witness`` reads how to connect, as JSON, from its standard input, and writes until
that ends; then it prints what it saw.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from drills.fleet import Fleet
from local.places import REPOSITORY

# What a publish lets Redis take over an answer (`taskfleet.brokers.redis.pipeline`).
SLOW_SECONDS = 0.3
_EVERY_SECONDS, _KEY = 0.02, "drill-witness"


@dataclass(frozen=True)
class Call:
    """One write. ``at`` is in seconds since the epoch."""

    at: float
    seconds: float
    answered: bool

    @property
    def slow(self) -> bool:
        """Whether a publish may have taken Redis for dead at that time."""
        return not self.answered or self.seconds >= SLOW_SECONDS


class RedisWitness:
    """While the block runs it writes, again and again; afterwards it has its ``calls``."""

    def __init__(self, fleet: Fleet) -> None:
        self._given = {
            "host": "localhost",
            "port": fleet.ports.broker,
            "password": fleet.broker_password(),
            "ssl_ca_certs": str(fleet.places.ca),
        }
        self.calls: list[Call] = []

    def slow(self, at: float, seconds: float) -> bool:
        """Whether Redis was slow, or did not answer, at any time of these ``seconds`` from ``at`` on."""
        return any(
            call.slow and call.at <= at + seconds and at <= call.at + call.seconds for call in self.calls
        )

    @property
    def longest(self) -> float:
        """Seconds of the call that took the longest."""
        return max((call.seconds for call in self.calls), default=0.0)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None or self._process.poll() is not None:
            raise RuntimeError("the witness did not begin")
        stdin.write(json.dumps(self._given) + "\n")
        stdin.flush()
        stdout.readline()  # it begins
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        said, _ = self._process.communicate()
        self.calls = [Call(*call) for call in json.loads(said or "[]")]


def _set_at_the_end(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


def main() -> None:
    """Write until the standard input ends."""
    client = redis.Redis(
        **json.loads(sys.stdin.readline()), ssl=True, socket_timeout=5, retry=Retry(NoBackoff(), 0)
    )
    over = threading.Event()
    threading.Thread(target=_set_at_the_end, args=(over,), daemon=True).start()
    print("begins", flush=True)
    calls = []
    while not over.wait(_EVERY_SECONDS):
        at, began, answered = time.time(), time.monotonic(), True
        try:
            client.set(_KEY, "1", ex=60)
        except (redis.RedisError, OSError):
            answered = False
        calls.append((at, time.monotonic() - began, answered))
    json.dump(calls, sys.stdout)


if __name__ == "__main__":
    main()
