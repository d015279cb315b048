"""The load of a drill: two producer processes, and what the workers recorded of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drills.roles import ROLES
from drills.tally import Execution, Publish
from local.account import PRODUCER
from local.journal import Journal

PRODUCERS = 2
_BEGIN_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Load:
    """``rate`` publishes a second, of all producers together, for ``seconds``.

    ``task`` is one of `drills.tasks.faulty`; it runs for ``task_seconds``, several are taken in turn.
    ``options`` go to ``apply_async``. With ``mixed_every``, every so manieth publish of a producer is one of
    `drills.mixed` instead; odd, or it is always the same of two queues.
    """

    rate: float = 100
    seconds: float = 60
    queues: tuple[str, ...] = ROLES.queues
    task: str = "record"
    task_seconds: float | Sequence[float] = 0.0
    options: Mapping[str, float] = field(default_factory=dict)
    mixed_every: int = 0

    @property
    def turn(self) -> Sequence[float]:
        """``task_seconds`` as a sequence."""
        return self.task_seconds if isinstance(self.task_seconds, Sequence) else (self.task_seconds,)


class Running:
    """A load under way. ``run`` is its name in the journal; the publishes are in ``directory``."""

    def __init__(
        self, load: Load, *, run: str, directory: Path, journal: Path, environment: Mapping[str, str]
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.load, self.run, self._directory = load, run, directory
        self._journal = Journal(journal)
        self._records: list[dict[str, Any]] = []
        self._producers = [self._start(number, environment) for number in range(PRODUCERS)]
        self._wait_until_they_begin()
        self.started_at = time.time()

    @property
    def producing(self) -> bool:
        """Whether a producer still runs."""
        return any(producer.poll() is None for producer in self._producers)

    def publishes(self) -> list[Publish]:
        """Everything that was published so far."""
        paths = (self._out(number) for number in range(PRODUCERS))
        texts = (path.read_text() for path in paths if path.exists())
        lines = (line for text in texts for line in text.splitlines(keepends=True))
        return [Publish(**json.loads(line)) for line in lines if line.endswith("\n")]

    def records(self) -> list[dict[str, Any]]:
        """Every line that the tasks wrote into the journal since the load began, of other runs too."""
        self._records += self._journal.read()
        return self._records

    def executions(self) -> list[Execution]:
        """Every execution so far that came to its end."""
        return [
            Execution(n=record["n"], at=record["at"], broker=record.get("broker"), pid=record["pid"])
            for record in self.records()
            if record["event"] == "record" and record["run"] == self.run
        ]

    def wait_for_producers(self) -> None:
        """Raises ``RuntimeError`` if one of them failed: then the drill says nothing."""
        for producer in self._producers:
            if producer.wait() != 0:
                raise RuntimeError(f"a producer of the load failed with code {producer.returncode}")

    def wait_for_executions(self, seconds: float) -> None:
        """Until everything that was accepted has been executed, for ``seconds`` at most."""
        end = time.monotonic() + seconds
        accepted = {publish.n for publish in self.publishes() if publish.broker is not None}
        while accepted - {execution.n for execution in self.executions()} and time.monotonic() < end:
            time.sleep(0.5)

    def stop(self) -> None:
        """End the producers, if they still run."""
        for producer in self._producers:
            if producer.poll() is None:
                producer.terminate()
            producer.wait()

    def _wait_until_they_begin(self) -> None:
        end = time.monotonic() + _BEGIN_SECONDS
        while not all(self._out(number).exists() for number in range(PRODUCERS)):
            if time.monotonic() > end or not self.producing:
                self.stop()
                raise RuntimeError("the load's producers did not begin; what they said is above")
            time.sleep(0.05)

    def _out(self, number: int) -> Path:
        return self._directory / f"{self.run}-{number}.jsonl"

    def _start(self, number: int, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        load = self.load
        options = {
            "run": self.run,
            "rate": load.rate / PRODUCERS,
            "seconds": load.seconds,
            "first": number,
            "step": PRODUCERS,
            "queues": ",".join(load.queues),
            "task": load.task,
            "task-seconds": ",".join(map(str, load.turn)),
            "options": json.dumps(dict(load.options)),
            "mixed-every": load.mixed_every,
            "out": self._out(number),
        }
        given = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        own = {**environment, "AWS_ACCESS_KEY_ID": PRODUCER}  # by a producer's permissions
        return subprocess.Popen([sys.executable, "-m", "drills.producer", *given], env=own)
