"""One cell: its servers, a long-lived worker of each side, and what the features observe on both."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from taskfleet.contract import container
from taskfleet.contract import environment as env

from tests.compat import app as compat_app
from tests.compat import client
from tests.compat.context import Process
from tests.compat.feature import Cell
from tests.compat.sides import APP, QUEUES, RELEASE, Side
from tests.support.ministack import MiniStack
from tests.support.tiny_fleet import TinyFleet
from tests.support.valkey import Valkey

Observations = Mapping[str, Mapping[str, Any]]
CHECKOUT = Path(__file__).parents[2]


@contextlib.contextmanager
def opened(cell: Cell, folder: Path, aws: MiniStack) -> Iterator[Running]:
    """The cell with its servers and its two workers."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        # Results and stock's broker, and the fleet's own broker: apart, since on SQS the latter is away.
        plain, broker = (_valkey(stack, folder / name) for name in ("valkey", "broker"))
        fleet = TinyFleet(f"c{uuid.uuid4().hex[:8]}", folder, broker, aws)
        stack.callback(fleet.close)
        fleet.deploy(RELEASE, QUEUES)
        fleet.promote(RELEASE)
        if cell.broker == "sqs":
            fleet.front.refuse()
        running = Running(
            cell, folder, (_stock(cell, folder, plain, fleet), _fleet(cell, folder, plain, fleet))
        )
        stack.callback(running.close)
        running.start()
        yield running


def _valkey(stack: contextlib.ExitStack, folder: Path) -> Valkey:
    folder.mkdir()
    server = Valkey(folder)
    server.start()
    stack.callback(server.stop)
    return server


def _common(folder: Path, side: str, results: str) -> dict[str, str]:
    marks = folder / f"marks-{side}"
    marks.mkdir()
    return {
        "PYTHONPATH": str(CHECKOUT),
        compat_app.SIDE: side,
        compat_app.MARKS: str(marks),
        compat_app.RESULTS: results,
        "C_FORCE_ROOT": "1",  # a worker that accepts pickles refuses to be root otherwise
    }


def _stock(cell: Cell, folder: Path, plain: Valkey, fleet: TinyFleet) -> Side:
    broker: dict[str, Any] = {"url": plain.url.replace("/0", "/2"), "options": {}}
    if cell.broker == "sqs":
        # The queues exist, as the guide to SQS has it, and it asks anew at once.
        prefix = f"{fleet.name}-stock-"
        broker = {
            "url": "sqs://",
            "options": {
                "region": "us-east-1",
                "queue_name_prefix": prefix,
                "polling_interval": 0.1,
                "wait_time_seconds": 1,
            },
        }
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONUNBUFFERED": "1",
        **fleet.aws.environment,
        **_common(folder, compat_app.STOCK, plain.url.replace("/0", "/1")),
        compat_app.STOCK_BROKER: json.dumps(broker),
    }
    return Side(compat_app.STOCK, cell, environment, {}, plain.url.replace("/0", "/2"))


def _fleet(cell: Cell, folder: Path, plain: Valkey, fleet: TinyFleet) -> Side:
    environment = fleet.environment(**_common(folder, compat_app.FLEET, plain.url.replace("/0", "/3")))
    environment[env.APP.name] = APP
    del environment[container.JOURNAL]
    worker = fleet.worker_environment(RELEASE)
    worker |= {
        env.BROKER.name: env.PRIMARY if cell.broker == "redis" else env.FALLBACK,
        env.EXECUTION.name: cell.pool,
    }
    mine = {name: value for name, value in worker.items() if name not in fleet.environment()}
    return Side(compat_app.FLEET, cell, environment, mine, fleet.valkey.url)


class Running:
    """A cell that is up."""

    def __init__(self, cell: Cell, folder: Path, sides: tuple[Side, Side]) -> None:
        self.cell, self.folder, self.sides = cell, folder, sides
        self._workers: list[Process] = []
        self._attempts = 0

    def start(self) -> None:
        """The long-lived workers; returns when both are ready."""
        for side in self.sides:
            place = self.folder / f"worker-{side.name}"
            self._workers.append(Process(side.main_command(), side.main_environment(), place))
            if side.is_fleet and self.cell.broker == "redis":
                # As in a fleet: what a stall of this machine sends to SQS runs all the same.
                other = side.main_environment() | {env.BROKER.name: env.FALLBACK, env.CONCURRENCY.name: "2"}
                self._workers.append(Process(side.main_command(), other, place.with_name("worker-fallback")))
        for worker in self._workers:
            worker.wait_says(" ready.")

    def observe(self, ids: Iterable[str]) -> dict[str, Observations]:
        """By side, then by id: what each feature observed. Both sides at a time."""
        self._attempts += 1
        attempt, ids = str(self._attempts), list(ids)
        clients = {side.name: self._client(side, attempt, ids) for side in self.sides}
        found: dict[str, Observations] = {}
        for name, (process, out) in clients.items():
            process.wait()
            missing = {
                each: {"raised": f"the client ended with exit code {process.returncode}"} for each in ids
            }
            found[name] = missing | (json.loads(out.read_text()) if out.exists() else {})
        return found

    def _client(self, side: Side, attempt: str, ids: list[str]) -> tuple[subprocess.Popen[bytes], Path]:
        out = self.folder / f"observed-{side.name}-{attempt}.json"
        with out.with_suffix(".log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.compat.client", str(out), attempt, *ids],
                env={**side.environment, client.SIDE: side.to_json()},
                cwd=CHECKOUT,
                stdout=log,
                stderr=log,
            )
        return process, out

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.stop()
