"""The deployed local fleet as a test uses it: commands as a person types them, boto3 to read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from threading import Timer
from typing import Any

from taskfleet.contract import names

from drills.fleet import Fleet
from drills.tasks import journal
from local import fleet_environment
from local.account import OPERATOR, PRODUCER, VIEWER
from local.clients import client
from local.places import REPOSITORY, VARIABLE, Places
from local.ports import Ports
from local.steady import Service, current_release, services
from tests.support.processes import wait_for

_SUBMIT_SECONDS = 120.0


class Producer:
    """A process that publishes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def submit(self, *orders: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Publish it all; for each message what `tests.fleet.submit` says of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watchdog = Timer(_SUBMIT_SECONDS, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(json.dumps(orders) + "\n")
            self._process.stdin.flush()
            said = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        assert said, "the producer ended; what it said is above"
        sent: list[dict[str, Any]] = json.loads(said)
        return sent

    def end(self) -> None:
        """As an orderly shutdown does: it takes its lease back, for which a drain would wait else."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(_SUBMIT_SECONDS) == 0, "the producer failed; what it said is above"

    def record(self, queue: str, count: int, *, seconds: float = 0.0) -> tuple[str, list[dict[str, Any]]]:
        """Submit ``count`` tasks that write down that they ran; (the run's name, what was sent)."""
        run = f"test-{uuid.uuid4().hex[:8]}"
        kwargs = {"run": run, "n": "#", "seconds": seconds}
        order = {"task": "drills.record", "kwargs": kwargs, "count": count, "options": {"queue": queue}}
        return run, self.submit(order)


class Deployed:
    """A fleet in ``directory``, brought up by `make up`'s own command."""

    def __init__(self, directory: Path) -> None:
        self.places = Places(directory)
        self.environment = os.environ | {VARIABLE: str(directory), "COLUMNS": "120"}

    # -- commands -------------------------------------------------------------------------------

    def local(self, *arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """``python -m local …``, which is all that `make up` and `make down` run."""
        return self._run([sys.executable, "-m", "local", *arguments], self.environment, timeout=timeout)

    def cdk(self, *arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """The CDK's command line with the emulated account's credentials."""
        command = [str(REPOSITORY / "node_modules/.bin/cdk"), *arguments]
        # Not the checkout's cdk.out: another synth may be writing there.
        return self._run(
            [*command, "--output", str(self.places.root / "cdk.test")], self.shell(), timeout=timeout
        )

    def fleet(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The operators' command, of one who acts, or of one who only looks."""
        command = [str(Path(sys.executable).parent / "fleet"), *arguments]
        caller = OPERATOR if "--yes" in arguments or arguments[0] == "run" else VIEWER
        return self._run(command, self.shell(caller), timeout=120)

    def fleet_json(self, *arguments: str) -> Any:
        """What ``fleet --json …`` prints."""
        done = self.fleet("--json", *arguments)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def shell(self, caller: str | None = None) -> Mapping[str, str]:
        """The environment after ``. build/local/env``; ``caller`` is one of `local.account`'s."""
        credentials = {"AWS_ACCESS_KEY_ID": caller} if caller else {}
        return fleet_environment.sourced(self.places.env) | {VARIABLE: str(self.places.root)} | credentials

    @staticmethod
    def _run(
        command: list[str], environment: Mapping[str, str], *, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=REPOSITORY,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    # -- looking --------------------------------------------------------------------------------

    @property
    def ports(self) -> Ports:
        """The fleet's ports."""
        ports = Ports.load(self.places.ports)
        assert ports is not None
        return ports

    def client(self, service: str) -> Any:
        """A boto3 client of the emulated account."""
        return client(self.ports, service)

    def services(self) -> dict[str, Service]:
        """ECS services by name."""
        return {service.name: service for service in services(self.ports)}

    def current(self) -> str:
        """The current release."""
        release = current_release(self.ports)
        assert release is not None
        return release

    def drill(self) -> Fleet:
        """The handles for faults."""
        return Fleet(self.places)

    def wait_until_at_rest(self, pool: str) -> None:
        """Until scaling has taken back what an earlier test made it add: one worker runs."""
        name = names.service(pool, self.current())

        def at_rest() -> bool:
            service = self.services()[name]
            return service.desired == service.running == 1

        wait_until(at_rest, 240, f"{name} is at its least")

    # -- work -----------------------------------------------------------------------------------

    @contextmanager
    def producer(self) -> Iterator[Producer]:
        """One that goes on publishing: starting it costs more than what it publishes."""
        command = [sys.executable, "-m", "tests.fleet.submit"]
        with subprocess.Popen(
            command, cwd=REPOSITORY, env=self.shell(PRODUCER), stdin=PIPE, stdout=PIPE, text=True
        ) as process:
            try:
                producer = Producer(process)
                yield producer
                producer.end()
            finally:
                process.kill()

    def submit(self, *orders: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Publish from a process of its own (`tests.fleet.submit`)."""
        with self.producer() as producer:
            return producer.submit(*orders)

    def record(self, queue: str, count: int, *, seconds: float = 0.0) -> tuple[str, list[dict[str, Any]]]:
        """Submit ``count`` tasks that write down that they ran; (the run's name, what was sent)."""
        with self.producer() as producer:
            return producer.record(queue, count, seconds=seconds)

    def journal(self) -> list[dict[str, Any]]:
        """Everything that tasks wrote down so far."""
        return list(journal.read(self.places.journal))

    def executed(self, run: str) -> list[dict[str, Any]]:
        """The executions of one run."""
        return [line for line in self.journal() if line["event"] == "record" and line["run"] == run]

    def wait_for_run(self, run: str, count: int, *, seconds: float) -> list[dict[str, Any]]:
        """Until every one of ``count`` numbers was executed; all executions."""
        wait_until(
            lambda: len({line["n"] for line in self.executed(run)}) == count, seconds, f"{count} of {run}"
        )
        return self.executed(run)


def wait_until(true: Callable[[], object], seconds: float, what: str) -> None:
    """Fails with ``what`` if it does not come true in time."""
    wait_for(true, seconds=seconds, what=what)
