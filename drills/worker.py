"""Processes that are started again whenever they end, as ECS does, and that a drill may kill."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.places import REPOSITORY
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet

_AGAIN_SECONDS = 0.5


class SupervisedProcess:
    """One process after the other in the directory ``place``, with one log for all.

    Each runs ``python -m`` with ``command``, and writes ``ready`` into its log once it works.
    """

    def __init__(
        self, name: str, place: Path, command: Sequence[str], environment: Mapping[str, str], *, ready: str
    ) -> None:
        self.name = name
        place.mkdir(exist_ok=True)
        self._command, self._ready = command, ready
        path = os.pathsep.join(filter(None, (environment.get("PYTHONPATH"), str(REPOSITORY))))
        self._environment = {**environment, "TMPDIR": str(place), "PYTHONPATH": path}
        self.log = place / "log"
        self._readies_before = self.readies()
        self._process: subprocess.Popen[bytes] | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)

    def start(self) -> None:
        """Start it, and again after each end."""
        self._thread.start()

    def wait(self, *, seconds: float) -> None:
        """Until it works for the first time."""
        wait_for(lambda: self.readies() > self._readies_before, seconds=seconds, what=self.name)

    def pids(self) -> list[int]:
        """All its processes, the main one first."""
        if self._process is None or self._process.poll() is not None:
            return []
        listed = subprocess.run(
            ["ps", "-o", "pid=", "-s", str(self._process.pid)], capture_output=True, text=True, check=False
        )
        others = {int(pid) for pid in listed.stdout.split()} - {self._process.pid}
        return [self._process.pid, *sorted(others)]

    def signal(self, number: int) -> None:
        """Send a signal to all its processes."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """SIGKILL it and its children, as with a machine that is gone."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """End it for good."""
        self._over.set()
        self.kill()
        if self._thread.ident is not None:
            self._thread.join(10)

    def readies(self) -> int:
        """How often it has begun to work."""
        return self.log.read_text().count(self._ready) if self.log.exists() else 0

    def _keep(self) -> None:
        while not self._over.is_set():
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", *self._command],
                    env=self._environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._process.wait()
            self.kill()  # a container ends with its command: whatever it left behind goes with it
            self._over.wait(_AGAIN_SECONDS)


class Worker(SupervisedProcess):
    """A worker of a small fleet."""

    def __init__(
        self,
        fleet: TinyFleet,
        name: str,
        release: str,
        queues: str = "low",
        *,
        variables: Mapping[str, str],
    ) -> None:
        environment = fleet.worker_environment(release, queues, **variables)
        super().__init__(name, fleet.directory / name, ("taskfleet", "worker"), environment, ready="ready.")
