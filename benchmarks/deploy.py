"""`deploy`: two releases with incompatible signatures, the same load, three ways to go from one to the other.

Stock Celery twice, with its defaults and ``task_acks_late``: workers restarted one after the other on the
queues that all releases share; new workers beside the old on these queues, then the old ones stopped. The
producers' new code follows once all workers have theirs, the better order of the two. And ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskfleet.contract.container import JOURNAL
from taskfleet.contract.environment import BROKER, PRIMARY, RELEASE
from taskfleet.releases.model import State

from drills.releases import load
from drills.releases.app import PLAIN, RESULTS
from drills.releases.counting import wanted
from drills.releases.load import Load
from drills.releases.producer import CODE, QUEUES
from drills.releases.rig import rig
from drills.report import DIRECTORY, Check, Figure, Report
from drills.tasks import journal
from local.places import REPOSITORY
from tests.support.processes import stop, wait_for
from tests.support.valkey import Valkey

OURS = "Taskfleet"
BLUE, GREEN = "r1", "r2"
WORKERS, SLOTS = 2, 2
# The load before and after a deploy.
AROUND_SECONDS = 5.0
SETTLE_SECONDS = 30.0
TABLE = DIRECTORY.parent / "bench" / "deploy.md"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Tasks: ``failed`` by the other release's code; ``lost`` never ran, for that or another reason."""

    accepted: int
    failed: int
    lost: int
    duplicates: int
    seconds: float
    drained_seconds: float | None = None


def run() -> Report:
    """One after the other."""
    found = {
        "Celery, workers restarted one by one": _stock(_rolling),
        "Celery, new workers beside the old, then swapped": _stock(_swapped),
        OURS: _ours(),
    }
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(table(found))
    print(table(found))
    return compare(found)


def compare(found: Mapping[str, Outcome]) -> Report:
    """The report: ours loses nothing; the others must lose something, or the load proves nothing."""
    figures: dict[str, Figure] = {}
    checks = []
    for way, one in found.items():
        figures |= {f"{way}: {name}": value for name, value in vars(one).items()}
        ours = way == OURS
        lost = f"{one.failed} failed by wrong code, {one.lost} of {one.accepted} lost"
        text = f"{way}: {lost}, {one.duplicates} run twice"
        good = one.failed == one.lost == one.duplicates == 0
        checks.append(Check(text, good if ours else one.lost > 0))
    return Report(name="deploy", checks=checks, figures=figures)


def table(found: Mapping[str, Outcome]) -> str:
    """In Markdown."""
    rows = [
        f"| {way} | {one.failed} | {one.lost} of {one.accepted} | {one.duplicates} | {one.seconds:.0f} s |"
        for way, one in found.items()
    ]
    head = "| | failed by wrong code | lost | run twice | took |"
    return "\n".join([head, "| --- | --- | --- | --- | --- |", *rows, ""])


def outcome(
    published: Sequence[Mapping[str, Any]], lines: Sequence[Mapping[str, Any]], **times: float
) -> Outcome:
    """From what was published, and what the tasks wrote."""
    did = [(line["n"], line["task"]) for line in lines if line["event"] == "did"]
    accepted = wanted(published)
    failed = {(line["n"], line["task"]) for line in lines if line["event"] == "failed"}
    return Outcome(
        accepted=len(accepted),
        failed=len(failed),
        lost=len(accepted - set(did)),
        duplicates=len(did) - len(set(did)),
        seconds=times["seconds"],
        drained_seconds=times.get("drained_seconds"),
    )


def _ours() -> Outcome:
    with rig() as made:
        blue, green = made.current, made.release()
        with Load(made, short=True) as under:
            time.sleep(AROUND_SECONDS)
            began = time.monotonic()
            made.deploy(green)
            made.wait_for(lambda: made.current == green.id, "green is current", SETTLE_SECONDS * 6)
            seconds = time.monotonic() - began
            made.wait_for(lambda: made.state(blue) is State.DRAINED, "blue is drained", SETTLE_SECONDS * 6)
            drained = time.monotonic() - began
            time.sleep(AROUND_SECONDS)
        under.counted(SETTLE_SECONDS)
        lines = [line for event in ("did", "failed") for line in made.journal(event)]
        return outcome(
            under.published(),
            [line for line in lines if line["run"] == under.run],
            seconds=seconds,
            drained_seconds=drained,
        )


class _Stock:
    """Workers of stock Celery on a Valkey of their own."""

    def __init__(self, directory: Path, ends: ExitStack) -> None:
        self.directory, self._ends, self._started = directory, ends, 0
        self.code = directory / "code"
        (directory / "journal").mkdir()
        self.code.write_text(BLUE)
        valkey = Valkey(directory)
        ends.callback(valkey.stop)
        valkey.start()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TASKFLEET_")}
        self.environment = {
            **inherited,
            PLAIN: valkey.url,
            RESULTS: valkey.url.replace("/0", "/1"),
            CODE: str(self.code),
            JOURNAL: str(directory / "journal"),
            "PYTHONPATH": str(REPOSITORY),
        }

    def start(self, release: str) -> subprocess.Popen[bytes]:
        """A worker that is ready."""
        self._started += 1
        log = self.directory / f"worker-{self._started}.log"
        command = [sys.executable, "-m", "celery", "-A", "drills.releases.app:app", "worker", "-l", "INFO"]
        command += ["-c", str(SLOTS), "-Q", ",".join(QUEUES), "-n", f"worker-{self._started}@bench"]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                env={**self.environment, RELEASE.name: release, BROKER.name: PRIMARY},
                stdout=out,
                stderr=out,
            )
        self._ends.callback(stop, process)
        wait_for(lambda: "ready." in log.read_text(), seconds=120, what=f"the worker of {log}")
        return process

    def lines(self) -> list[dict[str, Any]]:
        """What the tasks wrote."""
        return list(journal.read(self.directory / "journal"))


Deploy = Callable[[_Stock, list[subprocess.Popen[bytes]]], None]


def _rolling(stock: _Stock, workers: list[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        worker.terminate()
        worker.wait()
        stock.start(GREEN)


def _swapped(stock: _Stock, workers: list[subprocess.Popen[bytes]]) -> None:
    for _ in workers:
        stock.start(GREEN)
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.wait()


def _stock(deploy: Deploy) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="taskfleet-bench-") as place, ExitStack() as ends:
        stock = _Stock(Path(place), ends)
        workers = [stock.start(BLUE) for _ in range(WORKERS)]
        log, rate = Path(place) / "published", load.publishes_per_second(load.SHORT_TASKS_PER_SECOND)
        errors = ends.enter_context((Path(place) / "producer.log").open("wb"))
        producer = subprocess.Popen(
            [sys.executable, "-m", "drills.releases.producer", "bench", str(rate), str(log)],
            env=stock.environment,
            stderr=errors,
        )
        ends.callback(stop, producer)
        wait_for(lambda: log.exists() and log.stat().st_size > 0, seconds=60, what="the load begins")
        time.sleep(AROUND_SECONDS)
        began = time.monotonic()
        deploy(stock, workers)
        stock.code.write_text(GREEN)
        seconds = time.monotonic() - began
        time.sleep(AROUND_SECONDS)
        stop(producer)
        published = load.read(log)
        _settle(stock, published)
        return outcome(published, stock.lines(), seconds=seconds)


def _settle(stock: _Stock, published: Sequence[Mapping[str, Any]]) -> None:
    """Until all has run, or nothing more happens for a while."""
    accepted, lines, quiet_since = wanted(published), stock.lines(), time.monotonic()
    while time.monotonic() - quiet_since < AROUND_SECONDS * 2:
        time.sleep(0.5)
        now = stock.lines()
        if len(now) != len(lines):
            lines, quiet_since = now, time.monotonic()
        if not accepted - {(line["n"], line["task"]) for line in lines if line["event"] == "did"}:
            break
