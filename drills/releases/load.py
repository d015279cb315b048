"""The load of these drills: a producer at a rate, and what the tasks wrote down of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from drills.releases import counting
from drills.releases.counting import Counted
from drills.releases.producer import MIX
from drills.releases.rig import Rig, end
from local.places import REPOSITORY
from tests.support.processes import wait_for

# The short forms run among other tests, which need the machine, too.
TASKS_PER_SECOND, SHORT_TASKS_PER_SECOND = 55.0, 20.0
SETTLE_SECONDS = 120.0


def publishes_per_second(tasks: float) -> float:
    """A publish of the mix is about two tasks."""
    return tasks * len(MIX) / sum(many for _, many in MIX)


def read(log: Path) -> list[dict[str, Any]]:
    """What a producer has written so far."""
    text = log.read_text() if log.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


class Load:
    """Publishes while the block runs. Afterwards what was accepted is waited for, and counted."""

    def __init__(self, rig: Rig, *, short: bool) -> None:
        self._rig, self.wanted_rate = rig, SHORT_TASKS_PER_SECOND if short else TASKS_PER_SECOND
        self.run = uuid.uuid4().hex[:8]
        self._log = rig.fleet.directory / f"producer-{self.run}.jsonl"
        self.seconds = 0.0

    def __enter__(self) -> Self:
        environment = self._rig.fleet.environment(**self._rig.variables, PYTHONPATH=str(REPOSITORY))
        command = [
            sys.executable,
            "-m",
            "drills.releases.producer",
            self.run,
            str(publishes_per_second(self.wanted_rate)),
            str(self._log),
        ]
        with self._log.with_suffix(".log").open("wb") as errors:
            self._process = subprocess.Popen(command, env=environment, stdout=errors, stderr=errors)
        wait_for(lambda: bool(self.published()), seconds=60, what="the load begins")
        self._began = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.monotonic() - self._began
        end(self._process)

    def published(self) -> list[dict[str, Any]]:
        """Every publish so far."""
        return read(self._log)

    def did(self) -> list[dict[str, Any]]:
        """Every run of a task of it."""
        return [line for line in self._rig.journal("did") if line["run"] == self.run]

    def counted(self, settle_seconds: float = SETTLE_SECONDS) -> Counted:
        """Once everything that was accepted has run, and a moment for what might run again."""
        published, deadline = self.published(), time.monotonic() + settle_seconds
        wanted = counting.wanted(published)
        while time.monotonic() < deadline and wanted - {(one["n"], one["task"]) for one in self.did()}:
            time.sleep(0.3)
        time.sleep(1.0)
        return counting.count(published, self.did())

    def rate_held(self) -> float:
        """Tasks that were published, a second."""
        return float(sum(one["tasks"] for one in self.published()) / max(self.seconds, 0.001))

    def last_to(self, release: str) -> float | None:
        """When the last publish for a release began, in seconds since the epoch."""
        return max((one["at"] for one in self.published() if one["release"] == release), default=None)
