"""One outage as plain Celery meets it: two producers and a worker that is started again if it exits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import outage_apps
from benchmarks.apps import NOTES
from benchmarks.outage_result import Call, Outage, Result
from drills.drill import Event
from local.places import REPOSITORY

PRODUCERS, SLOTS = 2, 2
BEGIN_SECONDS = 60.0


@dataclass
class SupervisedProcess:
    """A process in a session of its own, started again when it exits, as any supervisor does."""

    command: Sequence[str]
    variables: Mapping[str, str]
    log: Path
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def look(self) -> None:
        """Start it unless it runs."""
        if self._process is None or self._process.poll() is not None:
            self.starts += 1
            with self.log.open("ab") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", *self.command],
                    cwd=REPOSITORY,
                    env=dict(self.variables),
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """It and its children, at once: nothing is measured any more."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def run(
    kind: str,
    variables: Mapping[str, str],
    events: Sequence[Event],
    *,
    rate: float,
    seconds: float,
    cap: float,
) -> Result:
    """Load for ``seconds`` with the events in it, then ``cap`` seconds at most from the last event."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as started:
        directory = Path(name)
        notes = directory / "notes"
        notes.touch()
        own = {**variables, NOTES: str(notes)}
        worker = SupervisedProcess(_worker(kind), own, directory / "worker.log")
        started.callback(worker.kill)
        worker.look()
        _wait(lambda: " ready" in worker.log.read_text(errors="replace"), "the worker's start")
        outs = [directory / f"calls-{number}" for number in range(PRODUCERS)]
        producers = [
            SupervisedProcess(_producer(kind, number, out, rate, seconds), own, directory / "producers.log")
            for number, out in enumerate(outs)
        ]
        for producer in producers:
            started.callback(producer.kill)
            producer.look()
        _wait(lambda: all(out.exists() for out in outs), "the producers' start")
        moments = _carry_out(events, worker)
        while time.time() < moments[-1] + cap:
            worker.look()
            time.sleep(1.0)
            if not any(producer.running for producer in producers) and _all_done(outs, notes):
                break
        outage = Outage(began=moments[0], ended=moments[-1], watched_until=time.time())
        return Result(outage, _calls(outs), _executions(notes), round(rate * seconds), worker.starts - 1)


def _worker(kind: str) -> tuple[str, ...]:
    queue = outage_apps.queue(kind)
    app = f"benchmarks.outage_apps:{kind}"
    return ("celery", "-A", app, "worker", "-l", "INFO", "-c", str(SLOTS), "-Q", queue, "-n", f"{kind}@bench")


def _producer(kind: str, number: int, out: Path, rate: float, seconds: float) -> tuple[str, ...]:
    given = {"rate": rate / PRODUCERS, "seconds": seconds, "first": number, "step": PRODUCERS, "out": out}
    options = [text for option, value in given.items() for text in (f"--{option}", str(value))]
    return ("benchmarks.outage_producer", kind, *options)


def _carry_out(events: Sequence[Event], worker: SupervisedProcess) -> list[float]:
    began, moments = time.time(), []
    for event in events:
        while time.time() < began + event.at:
            worker.look()
            time.sleep(0.1)
        event.action()
        moments.append(time.time())
    return moments


def _wait(true: object, what: str) -> None:
    end = time.monotonic() + BEGIN_SECONDS
    while not true():  # type: ignore[operator]
        if time.monotonic() > end:
            raise RuntimeError(f"not within {BEGIN_SECONDS:.0f} s: {what}")
        time.sleep(0.1)


def _all_done(outs: Iterable[Path], notes: Path) -> bool:
    accepted = {call.n for call in _calls(outs) if call.accepted}
    return accepted <= {n for n, _ in _executions(notes)}


def _calls(outs: Iterable[Path]) -> list[Call]:
    calls: dict[int, Call] = {}
    for line in (line for out in outs for line in _lines(out)):
        begun = calls.get(line["n"])
        at = line["at"] if begun is None else begun.at
        calls[line["n"]] = Call(n=line["n"], at=at, seconds=line.get("seconds"), error=line.get("error"))
    return list(calls.values())


def _executions(notes: Path) -> list[tuple[int, float]]:
    return [(line["n"], line["at"]) for line in _lines(notes) if line["n"] >= 0]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
