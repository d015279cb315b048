"""A worker of either kind, on the scratch environment's queue, for as long as a measurement takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from taskfleet.contract import environment as env

from benchmarks import scratch
from benchmarks.apps import NOTES
from local.places import REPOSITORY

SLOTS = 2
START_SECONDS = 60.0
STOP_SECONDS = 30.0
# What a pool's container gets (`infra.settings.Pool`), for a worker of two slots.
OUR_VARIABLES: Mapping[env.Variable, str] = {
    env.APP: "benchmarks.apps:ours",
    env.RELEASE: scratch.RELEASE,
    env.POOL: scratch.QUEUE,
    env.QUEUES: scratch.QUEUE,
    env.BROKER: env.PRIMARY,
    env.EXECUTION: "prefork",
    env.CONCURRENCY: str(SLOTS),
    env.CHILD_MEMORY_MIB: "448",
    env.MAX_TASKS_PER_CHILD: "1000000",
    env.VISIBILITY_TIMEOUT_SECONDS: "3600",
    env.SOFT_TIME_LIMIT_SECONDS: "300",
    env.TIME_LIMIT_SECONDS: "330",
    env.SOFT_SHUTDOWN_SECONDS: "5",
}
_PLAIN = ("celery", "-A", "benchmarks.apps:plain", "worker", "-l", "INFO", "-c", str(SLOTS))
COMMANDS = {
    # As Celery's documentation starts one.
    "plain": (*_PLAIN, "-Q", scratch.PLAIN_QUEUE, "-n", "plain@bench"),
    "ours": ("taskfleet", "worker"),
}


@dataclass(frozen=True)
class Worker:
    """A worker that is ready, in a session of its own; `benchmarks.apps.arrived` writes to ``notes``."""

    session: int
    notes: Path


@contextmanager
def worker(kind: str, variables: Mapping[str, str], directory: Path) -> Iterator[Worker]:
    """A worker of this kind, until the end of the block."""
    notes, log = directory / f"{kind}.notes", directory / f"{kind}.log"
    notes.write_text("")
    own = {v.name: value for v, value in OUR_VARIABLES.items()} if kind == "ours" else {}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *COMMANDS[kind]],
            cwd=REPOSITORY,
            env={**variables, **own, NOTES: str(notes), "TMPDIR": str(directory)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, log)
        yield Worker(process.pid, notes)
    finally:
        _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while " ready" not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the worker did not start:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM; what it leaves behind, and a worker that does not end, is killed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
