"""The processes of a worker that run its tasks: to be killed, and to be weighed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from drills.beside import Beside
from drills.fleet import Worker
from local.agent import procfs

SAMPLE_SECONDS = 0.25


def children(worker: Worker) -> list[int]:
    """The process ids of its prefork children."""
    return [p.pid for p in procfs.processes() if p.session == worker.session and p.parent == worker.pid]


def kill(pid: int) -> bool:
    """SIGKILL one process, as the kernel does when memory runs out. Whether it was still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


@dataclass(frozen=True)
class Sample:
    """What one container held at a moment, in bytes, shared pages shared out among those that share them."""

    at: float
    container: str
    held: int


@dataclass
class Scales(Beside):
    """Weighs containers."""

    every_seconds = SAMPLE_SECONDS

    workers: Callable[[], list[Worker]]
    samples: list[Sample] = field(default_factory=list)

    def peak(self) -> int:
        """The most that any container held at once."""
        return max((sample.held for sample in self.samples), default=0)

    def peaks(self, *, every_seconds: float) -> list[int]:
        """The same for each span of time, in order."""
        most: dict[int, int] = {}
        for sample in self.samples:
            span = int((sample.at - self.samples[0].at) / every_seconds)
            most[span] = max(most.get(span, 0), sample.held)
        return [held for _, held in sorted(most.items())]

    def step(self) -> None:
        """One weighing of each."""
        for worker in self.workers():
            held = sum(procfs.pss_bytes(pid) for pid in worker.pids() if pid != worker.session)
            self.samples.append(Sample(time.time(), worker.container, held))
