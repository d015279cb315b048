"""Two releases with their workers, a controller that looks in this process, and producers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from taskfleet import aws
from taskfleet.contract.environment import APP, ENVIRONMENT, PINNED_RELEASE
from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.controller.clients import connect
from taskfleet.controller.controller import Controller
from taskfleet.controller.fleet_snapshot import FleetSnapshot
from taskfleet.releases import commands, lease, promoting
from taskfleet.releases.model import Record, State, registered
from taskfleet.releases.observation import Rules
from taskfleet.releases.store import Store
from taskfleet.settings import ControllerSettings

from drills.stuck.app import app
from drills.tasks import journal
from drills.worker import Worker
from local.places import REPOSITORY
from tests.support.ministack import MiniStack
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.support.valkey import Valkey

APPLICATION = "drills.stuck.app:app"
BLUE, GREEN = "r1", "r2"
LOOK_SECONDS = 0.5
DRAIN_DEADLINE_SECONDS = 5
START_SECONDS = 180.0


class Rig:
    """``blue`` is current when it begins. Close it."""

    def __init__(self, directory: Path, *, scale: float) -> None:
        self._closing, self._directory, self._scale = contextlib.ExitStack(), directory, scale
        self.producers: dict[str, subprocess.Popen[bytes]] = {}
        self.accepted: set[tuple[str, int]] = set()  # of what this process publishes
        self.last: FleetSnapshot | None = None
        differ = "CLOCKS_DIFFER_SECONDS"
        self._closing.callback(setattr, lease, differ, getattr(lease, differ))
        setattr(lease, differ, getattr(lease, differ) * scale)
        valkey, self.account = Valkey(directory, durable=True), MiniStack(directory)
        for server in (valkey, self.account):
            self._closing.callback(server.stop)
            server.start()
        self.fleet = TinyFleet("drill", directory, valkey, self.account)
        self._closing.callback(self.fleet.close)
        os.environ.update(
            self.account.environment,
            SSL_CERT_FILE=str(self.fleet.front.ca),
            **{ENVIRONMENT.name: self.fleet.name},
        )
        aws._clients.after_fork()
        app.taskfleet.bind(self.fleet.settings())
        self.store = Store(self.account.client("dynamodb"), self.fleet.name)
        for release in (BLUE, GREEN):
            self._deploy(release)
        self._workers = [self._worker(release) for release in (BLUE, GREEN)]
        for worker in self._workers:
            worker.wait(seconds=START_SECONDS)
        self.promote(BLUE)
        self._over = threading.Event()
        looking = threading.Thread(target=self._look, daemon=True)
        self._closing.callback(looking.join)
        self._closing.callback(self._over.set)
        looking.start()

    def _deploy(self, release: str) -> None:
        """Its gate has passed: this drill is about the other end."""
        made = self.fleet.deploy(release, drain_deadline_seconds=DRAIN_DEADLINE_SECONDS)
        self.store.create(self._passed(made))

    def _passed(self, manifest: ReleaseManifest) -> Record:
        now = round(time.time(), 3)
        record = registered(manifest, at=now, actor="drill")
        record = record.moved(State.GATING, at=now, actor="drill", reason="for the drill")
        return replace(record, gate_passed_at=now, version=1)

    def _worker(self, release: str) -> Worker:
        variables = {APP.name: APPLICATION, "PYTHONPATH": str(REPOSITORY)}
        made = Worker(self.fleet, f"worker-{release}", release, variables=variables)
        self._closing.callback(made.stop)
        made.start()
        return made

    def promote(self, release: str) -> None:
        """As `fleet release promote` does."""
        seen = self.store.scan()
        made = commands.promote(
            seen.records, seen.pointer, release, at=time.time(), actor="drill", reason="drill"
        )
        if made is not None:
            promoting.promote(self.store, self.account.client("ssm"), self.fleet.name, made)

    def retire(self, release: str) -> None:
        """As `fleet release retire` begins: the controller closes its queues."""
        seen = self.store.scan()
        found = next(each for each in self.last.releases if each.release == release) if self.last else None
        record = commands.retire(
            seen.records, seen.pointer, release, left=found.left if found else None, actor="drill"
        )
        if record is not None:
            self.store.save(record)

    def _look(self) -> None:
        settings = ControllerSettings(
            environment=self.fleet.name,
            broker_host="localhost",
            broker_port=self.fleet.front.port,
            app=APPLICATION,
        )
        controller = Controller(connect(settings), rules=Rules(zero_samples=4))
        while not self._over.wait(LOOK_SECONDS):
            self.last = controller.look()

    def produce(self, name: str, *, pinned: str | None = None) -> None:
        """Start a producer; returns when it has published."""
        more = {PINNED_RELEASE.name: pinned} if pinned else {}
        environment = self.fleet.environment(PYTHONPATH=str(REPOSITORY), **{APP.name: APPLICATION, **more})
        command = [sys.executable, "-m", "drills.stuck.producer", name, str(self.log(name)), str(self._scale)]
        with self.log(name).with_suffix(".err").open("wb") as errors:
            process = subprocess.Popen(command, env=environment, stdout=errors, stderr=errors)
        self.producers[name] = process
        self._closing.callback(self.kill, name)
        wait_for(lambda: self.published(name), seconds=60, what=name)

    def log(self, name: str) -> Path:
        """What a producer writes."""
        return self._directory / f"{name}.jsonl"

    def signal(self, name: str, number: int) -> None:
        """To a producer."""
        self.producers[name].send_signal(number)

    def kill(self, name: str) -> None:
        """SIGKILL: it takes back nothing."""
        self.producers[name].send_signal(signal.SIGKILL)
        self.producers[name].wait()

    def published(self, name: str) -> list[dict[str, Any]]:
        """Each publish of a producer."""
        text = self.log(name).read_text() if self.log(name).exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def did(self) -> list[dict[str, Any]]:
        """Each run of a number."""
        return [line for line in journal.read(self.fleet.journal) if line["event"] == "did"]

    def hangs(self) -> bool:
        """Whether the endless task runs."""
        return any(line["event"] == "hangs" for line in journal.read(self.fleet.journal))

    def state(self, release: str) -> State:
        """Of a release."""
        return self.store.scan().records[release].state

    def problem(self, of: str) -> str:
        """What the last look says of a release that drains for too long; empty if it does not."""
        found = [each for each in (self.last.problems if self.last else ()) if f"release {of} drains" in each]
        return found[0] if found else ""

    def operator(self, *command: str) -> str:
        """`fleet …`: what it prints."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name("fleet")), *command],
            env=self.fleet.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    def close(self) -> None:
        """End everything."""
        self._closing.close()


@contextlib.contextmanager
def rig(*, scale: float) -> Iterator[Rig]:
    """One in a folder of its own; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="taskfleet-stuck-") as place:
        made = Rig(Path(place), scale=scale)
        try:
            yield made
        finally:
            made.close()
