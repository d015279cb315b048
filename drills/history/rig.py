"""The small fleet that programs run on: real servers and workers, two releases, two producers.

It is not deployed by the CDK: a seed takes seconds, and what it tries is how messages travel. A process
that ends is started again, as ECS does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from taskfleet.contract import figures, names
from taskfleet.contract.environment import APP, BROKER, EXECUTION, FALLBACK, POOL, PRIMARY
from taskfleet.contract.messages import REDIS_TAKEN

from drills.history import clock, controller
from drills.history.app import RESULTS
from drills.history.program import QUEUES, Processes
from drills.history.releases import Releases
from drills.worker import SupervisedProcess, Worker
from local.broker.faults import Command
from local.places import REPOSITORY
from tests.support.ministack import MiniStack
from tests.support.processes import free_port, stop, wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.support.valkey import Valkey

RELEASES = ("r1", "r2")
EMPTY_LOOKS = 3  # in a row
_START_SECONDS = 180.0  # several rigs start at once, on a machine that has other things to do


class Account(MiniStack):
    """The emulated account of the local fleet, one service of which can fail while the others answer."""

    def start(self) -> None:
        with (self._folder / "account.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "local.emulator", "--port", str(self.port)],
                env=os.environ | {"TMPDIR": str(self._folder)},
                stdout=log,
                stderr=log,
                cwd=REPOSITORY,
            )
        wait_for(self.answers, seconds=_START_SECONDS, what=f"the account on port {self.port}")

    def fault(self, service: str, fault: str) -> None:
        """See `local.emulator.faults`."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.endpoint}/_local/faults",
            json.dumps({"service": service, "fault": fault}).encode(),
            method="PUT",
        )
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310 - loopback
            pass


class Producer:
    """A producer process and its log."""

    def __init__(self, number: int, directory: Path, environment: dict[str, str], how: str) -> None:
        self.number, self._environment, self._how = number, environment, how
        self.log = directory / f"producer-{number}.jsonl"
        self.errors = directory / f"producer-{number}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns when it takes publishes."""
        before = self._ready()
        with self.errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "drills.history.producer", str(self.log), self._how],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=errors,
                stderr=errors,
                cwd=REPOSITORY,
            )
        wait_for(lambda: self._ready() > before, seconds=_START_SECONDS, what=f"producer {self.number}")

    def _ready(self) -> int:
        return self.log.read_text().count('"ready"') if self.log.exists() else 0

    def send(self, line: str) -> None:
        """Have it publish that. What a dead one is given is lost, as in a process that is gone."""
        with contextlib.suppress(OSError):
            stdin = self._process.stdin  # type: ignore[union-attr]
            stdin.write(line.encode() + b"\n")  # type: ignore[union-attr]
            stdin.flush()  # type: ignore[union-attr]

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)  # type: ignore[union-attr]

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def revive(self) -> None:
        """Start it again if it is gone."""
        if self._process is None or self._process.poll() is not None:
            self.start()

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            stop(self._process)


class Rig:
    """Everything that a program needs. Start it once for many programs; close it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("valkey", "results", "account", "fleet"):
            (directory / name).mkdir(parents=True)
        self.of_server = threading.Lock()  # held by a fault of the server: a second one waits for its end
        self.valkey = Valkey(directory / "valkey", durable=True)
        self._results = Valkey(directory / "results")
        self.account = Account(directory / "account")
        self.pointer: list[tuple[float, str]] = []  # what producers were told, since when
        self.workers: list[Worker] = []
        self.producers: list[Producer] = []
        self._processes: Processes | None = None
        self._closing = contextlib.ExitStack()
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        for server in (self.valkey, self._results, self.account):
            self._closing.callback(server.stop)
            server.start()
        self.fleet = TinyFleet(f"h{free_port()}", self.directory / "fleet", self.valkey, self.account)
        self._closing.callback(self.fleet.close)
        self.account.client("ecs").create_cluster(clusterName=names.cluster(self.fleet.name))
        for release in RELEASES:
            # ECS knows of no services here: a pool that may sleep needs none to pass its gate.
            self.fleet.deploy(release, QUEUES, min_workers=0)
        self.fleet.promote(RELEASES[0])  # for the first workers; the controller makes it so
        self.pointer.append((0.0, RELEASES[0]))
        self.releases = Releases(self.fleet)
        self._closing.callback(self._end_processes)
        self.controller = SupervisedProcess(
            "controller",
            self.fleet.directory / "controller",
            ("drills.history.controller",),
            self.fleet.environment(),
            ready=controller.READY,
        )
        self._closing.callback(self.controller.stop)
        self.controller.start()

    def have(self, processes: Processes) -> None:
        """Such workers and producers; they are others afterwards, unless they were such ones already."""
        if processes == self._processes:
            return
        self._end_processes()
        self._processes = processes
        results = self._results.url
        self.workers = [
            self._worker(release, broker, processes.execution)
            for release in RELEASES
            for broker in (PRIMARY, FALLBACK)
        ]
        environment = self.fleet.environment(**{RESULTS: results, "PYTHONPATH": str(REPOSITORY)})
        self.producers = [
            Producer(number, self.directory, environment, how)
            for number, how in enumerate(processes.producers)
        ]
        for worker in self.workers:
            worker.start()
            worker.wait(seconds=_START_SECONDS)
        for producer in self.producers:
            producer.start()
        self.releases.wait_until_ready(seconds=_START_SECONDS)

    def _worker(self, release: str, broker: str, execution: str) -> Worker:
        variables = {
            POOL.name: "low",
            BROKER.name: broker,
            EXECUTION.name: execution,
            APP.name: "drills.history.app:app",
            RESULTS: self._results.url,
            **clock.variables(self.clock(f"{release}-{broker}")),
        }
        return Worker(self.fleet, f"{release}-{broker}", release, ",".join(QUEUES), variables=variables)

    def clock(self, worker: str) -> Path:
        """The file that the clock of this worker reads."""
        return self.directory / f"{worker}.clock"

    def _end_processes(self) -> None:
        for producer in self.producers:
            producer.stop()
        for worker in self.workers:
            worker.stop()

    def move(self, *, back: bool) -> str:
        """Make the other release current, or go ``back`` to the one before. Returns the current one."""
        current = self.releases.roll_back() if back else self.releases.promote()
        if current != self.current:
            self.pointer.append((time.time(), current))
        return current

    @property
    def current(self) -> str:
        """The current release."""
        return self.pointer[-1][1]

    def front(self, command: Command) -> None:
        """Have the broker's front fail so."""
        front = self.fleet.front
        asyncio.run_coroutine_threadsafe(front._front.apply(command), front._loop).result(5)

    def left(self) -> dict[str, int]:
        """What is on the brokers: waiting, scheduled and unacknowledged."""
        client = self.valkey.client()
        counts = {
            f"{kind} {key}": self._size(client, key, kind)
            for key in map(str, client.scan_iter(count=1000))
            if (kind := str(client.type(key))) and self._is_work(key)
        }
        twins = [names.fallback_queue(self.fleet.name, q, r) for q in QUEUES for r in RELEASES]
        return {key: count for key, count in counts.items() if count} | {
            f"messages in {twin}": count for twin in twins if (count := self.fleet.sqs_depth(twin))
        }

    def _is_work(self, key: str) -> bool:
        return key not in _ALWAYS and not key.startswith(_BOOKS)

    def _size(self, client: object, key: str, kind: str) -> int:
        how = {"list": "llen", "zset": "zcard", "hash": "hlen", "set": "scard"}
        return int(getattr(client, how[kind])(key)) if kind in how else 1

    def logs(self) -> dict[str, Path]:
        """Where each process writes, by a name for it."""
        return {
            **{process.name: process.log for process in (*self.workers, self.controller)},
            **{f"producer-{each.number}": each.log for each in self.producers},
            **{f"producer-{each.number}-errors": each.errors for each in self.producers},
        }

    def dead_letters(self) -> list[str]:
        """Each with its reason."""
        return [f"{each.task} {each.task_id}: {each.reason}" for each in self.fleet.store.headings(QUEUES)]

    def forget_dead_letters(self) -> None:
        """Delete them: the next program begins without any."""
        for each in list(self.fleet.store.headings(QUEUES)):
            self.fleet.store.delete(each.id)

    def close(self) -> None:
        """End everything."""
        self._closing.close()


# What Redis holds of a fleet that does nothing: the books of living sessions, bindings, bells, and what
# expires: the counts of what was fetched, and what workers counted.
_ALWAYS = frozenset({"taskfleet:sessions", "taskfleet:clock", "taskfleet:probe"})
_BOOKS = (
    "_kombu.binding",
    "taskfleet:bell:",
    "taskfleet:finished",
    "taskfleet:lapsed:",
    REDIS_TAKEN,
    figures.MINUTES,
    figures.SENDERS,
    "unacked_mutex",
)


def wait_until_idle(look: Callable[[], dict[str, int]], seconds: float) -> dict[str, int]:
    """Until `Rig.left` finds nothing on the brokers, for ``seconds`` at most; what is left then.

    One look asks Redis before SQS: a task that ends on SQS and sends the next of its chain to Redis meanwhile
    is on neither. So nothing is left when several looks in a row say so, as a drain has it, too.
    """
    end, empty = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        left = look()
        empty = 0 if left else empty + 1
        if empty == EMPTY_LOOKS:
            return {}
        time.sleep(0.3)
    return look()
