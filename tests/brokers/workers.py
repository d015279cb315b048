"""Start a real Celery worker for a test, read what it ran, and end it in every way there is."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from taskfleet.testing import leash

from tests.brokers import celery_app
from tests.support.processes import wait_for


class Ledger:
    """The lines that the tasks wrote, over all workers of a test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def lines(self) -> list[str]:
        """In the order of writing."""
        return self.path.read_text().splitlines()

    def wait(self, *expected: str, seconds: float = 20) -> list[str]:
        """All lines, once each of the expected ones is there."""
        try:
            wait_for(lambda: set(expected) <= set(self.lines()), seconds=seconds, what="the expected work")
        except AssertionError as error:
            missing = sorted(set(expected) - set(self.lines()))
            raise AssertionError(f"{error}; missing {missing[:10]} of {len(expected)}") from error
        return self.lines()


class Worker:
    """One worker process, in its own process group so that its children go with it."""

    def __init__(
        self,
        directory: Path,
        *,
        url: str,
        transport: str | None,
        ledger: Ledger,
        queues: str = "tests",
        options: Mapping[str, object] | None = None,
        configuration: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        pool: str = "prefork",
        concurrency: int = 2,
        heartbeat: bool = False,
    ) -> None:
        self.log = directory / f"worker-{id(self):x}.log"
        command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "tests.brokers.celery_app:app",
            "worker",
            "-Q",
            queues,
        ]
        command += ["-P", pool, "-c", str(concurrency), "-l", "INFO", "-n", f"w{id(self):x}@test"]
        command += ["--without-gossip", "--without-mingle"]
        command += [] if heartbeat else ["--without-heartbeat"]
        own = {
            celery_app.URL: url,
            celery_app.TRANSPORT: transport or "",
            celery_app.OPTIONS: json.dumps(dict(options or {})),
            celery_app.CONFIGURATION: json.dumps(dict(configuration or {})),
            celery_app.LEDGER: str(ledger.path),
            "TMPDIR": str(directory),  # a killed worker leaves some there
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {}), **own},
                start_new_session=True,
                preexec_fn=leash.die_with_parent(os.getpid()),
            )

    def said(self, text: str) -> bool:
        """Whether its log has the text."""
        return text in self.log.read_text(errors="replace")

    def wait_ready(self) -> Worker:
        """Return once it consumes."""
        wait_for(lambda: self.said(" ready.") or self.exited, seconds=60, what="the worker's start")
        assert not self.exited, self.log.read_text()
        return self

    @property
    def exited(self) -> bool:
        """Whether the main process is gone."""
        return self.process.poll() is not None

    def signal(self, number: int) -> None:
        """To the main process only."""
        if not self.exited:
            self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to the main process and all its children at once, as a lost machine."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, *, seconds: float = 30) -> None:
        """SIGTERM, and wait for the orderly end."""
        self.signal(signal.SIGTERM)
        self.process.wait(seconds)


StartWorker = Callable[..., Worker]
