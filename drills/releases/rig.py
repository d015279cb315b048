"""An environment of a drill's own: brokers, an account that can fail, a controller, beat, and releases."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from taskfleet.contract import names, parameters
from taskfleet.contract.environment import ENVIRONMENT, METRICS_PORT
from taskfleet.releases.model import Record, State
from taskfleet.releases.observation import Rules
from taskfleet.releases.store import Snapshot, Store

from drills.history.rig import Account
from drills.releases import controller, stack
from drills.releases.agent import Agent
from drills.releases.app import RESULTS
from drills.releases.stack import Release
from drills.tasks import journal
from local.places import REPOSITORY
from tests.support.processes import free_port, stop, wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.support.valkey import Valkey

START_SECONDS = 180.0
LOOK_SECONDS = 1.0
# Scaled: the controller looks every second here, not every ten. A drain is still watched for longer than a
# producer keeps a pointer, and a gate has time on a machine that has other things to do.
RULES = Rules(zero_samples=10, gate_resend_seconds=5, gate_deadline_seconds=120, look_seconds=LOOK_SECONDS)


class Controller:
    """A process of `drills.releases.controller`."""

    def __init__(self, fleet: TinyFleet, number: int, rules: Rules) -> None:
        self._place = fleet.directory / f"controller-{number}"
        self._place.mkdir()
        self.ruled(rules)
        self._environment = fleet.environment(
            **{
                METRICS_PORT.name: str(free_port()),
                controller.LOOK_SECONDS: str(LOOK_SECONDS),
                controller.PLACE: str(self._place),
                "PYTHONPATH": str(REPOSITORY),
                "TMPDIR": str(self._place),
            }
        )
        self.log = self._place / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns when it looks."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "drills.releases.controller"],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(lambda: "looks\n" in self.log.read_text(), seconds=START_SECONDS, what="the controller")

    def ruled(self, rules: Rules) -> None:
        """By other numbers, from its next life on."""
        (self._place / "rules").write_text(json.dumps(asdict(rules)))

    def kill(self) -> None:
        """SIGKILL the life that looks now; the next one begins at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(int((self._place / "pid").read_text()), signal.SIGKILL)

    def dies(self, *moments: str) -> None:
        """At these moments of each step (``before``, ``after``), or at none, from its next life on."""
        if moments:
            (self._place / "dies").write_text(" ".join(moments))
        else:
            (self._place / "dies").unlink(missing_ok=True)
        self.kill()

    def deaths(self) -> list[dict[str, Any]]:
        """Each with its ``step`` and whether it was before or after it."""
        path = self._place / "deaths"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def stop(self) -> None:
        """End it for good."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class Rig:
    """Start it once for several drills: each begins with a current release, and leaves one."""

    def __init__(self, directory: Path, rules: Rules = RULES) -> None:
        self._closing = contextlib.ExitStack()
        self._rules, self._number, self.controllers = rules, 0, list[Controller]()
        self._controllers_made = itertools.count()
        self.publishing: Any = None
        for name in ("valkey", "results", "account", "fleet"):
            (directory / name).mkdir(parents=True)
        self.valkey = Valkey(directory / "valkey", durable=True)
        self._results = Valkey(directory / "results")
        self.account = Account(directory / "account")
        try:
            self._start(directory)
        except BaseException:
            self.close()
            raise

    def _start(self, directory: Path) -> None:
        for server in (self.valkey, self._results, self.account):
            self._closing.callback(server.stop)
            server.start()
        self.fleet = TinyFleet(f"d{free_port()}", directory / "fleet", self.valkey, self.account)
        self._closing.callback(self.fleet.close)
        self.store = Store(self.account.client("dynamodb"), self.fleet.name)
        self.variables = {RESULTS: self._results.url}
        self.agent = Agent(self.fleet, self.variables)
        self._closing.callback(self.agent.close)
        self.account.client("ssm").put_parameter(Name=stack.TAKEN, Value="x", Type="String")
        self.start_controller()
        first = self.release()
        self.deploy(first)
        self.wait_for(lambda: self.current == first.id, "the first release is current", START_SECONDS)
        self.wait_for(lambda: self.journal("tick") != [], "beat fires", START_SECONDS)

    @contextlib.contextmanager
    def ruled(self, **changes: Any) -> Iterator[None]:
        """The controllers plan by other numbers meanwhile."""
        for rules in (replace(self._rules, **changes), self._rules):
            for one in self.controllers:
                one.ruled(rules)
                one.kill()
            if rules is not self._rules:
                yield

    def start_controller(self) -> Controller:
        """One more."""
        made = Controller(self.fleet, next(self._controllers_made), self._rules)
        self.controllers.append(made)
        self._closing.callback(made.stop)
        made.start()
        return made

    def end_controller(self, one: Controller) -> None:
        """One that was started beside the first."""
        one.stop()
        self.controllers.remove(one)

    # -- releases -----------------------------------------------------------------------------------

    def release(self, **how: Any) -> Release:
        """The next one; its neighbours' signatures are others."""
        self._number += 1
        return Release(id=f"r{self._number}", **how)

    def deploy(self, release: Release) -> None:
        """Begin it, as `make deploy` does: CloudFormation goes on by itself, and leaves what failed."""
        self.account.client("cloudformation").create_stack(
            StackName=self.stack_name(release.id),
            TemplateBody=stack.template(self.fleet.name, release),
            DisableRollback=True,
            Tags=[{"Key": key, "Value": value} for key, value in names.stack_tags(self.fleet.name).items()],
        )

    def stack_name(self, release: str) -> str:
        """Of a release."""
        return names.release_stack(self.fleet.name, release)

    def stack_status(self, release: str) -> str:
        """As CloudFormation says; `DELETE_COMPLETE` of one that is gone."""
        client = self.account.client("cloudformation")
        try:
            (found,) = client.describe_stacks(StackName=self.stack_name(release))["Stacks"]
        except client.exceptions.ClientError:
            return "DELETE_COMPLETE"
        return str(found["StackStatus"])

    def reasons(self, release: str) -> str:
        """What CloudFormation says of a stack's events."""
        client = self.account.client("cloudformation")
        events = client.describe_stack_events(StackName=self.stack_name(release))["StackEvents"]
        return " ".join(event.get("ResourceStatusReason", "") for event in events)

    def delete(self, release: str) -> None:
        """The stack of a release that is drained."""
        self.account.client("cloudformation").delete_stack(StackName=self.stack_name(release))

    def operator(self, *command: str) -> subprocess.CompletedProcess[str]:
        """``fleet …``, from a process of its own."""
        environment = self.fleet.environment(**{ENVIRONMENT.name: self.fleet.name})
        return subprocess.run(
            [str(Path(sys.executable).parent / "fleet"), *command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def current(self) -> str:
        """What producers are told."""
        ssm = self.account.client("ssm")
        try:
            return str(
                ssm.get_parameter(Name=parameters.current_release(self.fleet.name))["Parameter"]["Value"]
            )
        except ssm.exceptions.ParameterNotFound:
            return parameters.NO_RELEASE

    def snapshot(self) -> Snapshot:
        """What the state table says."""
        return self.store.scan()

    def record(self, release: str) -> Record | None:
        """Of a release, if it is registered."""
        return self.snapshot().records.get(release)

    def state(self, release: str) -> State | None:
        """Of a release, if it is registered."""
        record = self.record(release)
        return record.state if record else None

    def ran_through(self, release: str) -> list[str]:
        """The states of a release, in their order."""
        record = self.record(release)
        return [str(change.after) for change in record.history] if record else []

    # -- waiting, looking ---------------------------------------------------------------------------

    def wait_for(self, happened: Callable[[], bool], what: str, seconds: float = 300.0) -> float:
        """Until it has; the seconds that it took. ``AssertionError`` if it has not in time."""
        began = time.monotonic()
        wait_for(happened, seconds=seconds, what=what)
        return time.monotonic() - began

    def journal(self, event: str) -> list[dict[str, Any]]:
        """What tasks wrote."""
        return [line for line in journal.read(self.fleet.journal) if line["event"] == event]

    def beat_logs(self) -> str:
        """Of the beats of all releases."""
        logs = self.fleet.directory.glob(f"{names.beat_service('*')}/log")
        return "".join(log.read_text() for log in sorted(logs))

    def dead_letters(self) -> list[str]:
        """Each with its reason."""
        return [f"{one.task}: {one.reason}" for one in self.fleet.store.headings(stack.QUEUES)]

    def close(self) -> None:
        """End everything."""
        self._closing.close()


@contextlib.contextmanager
def rig(rules: Rules = RULES) -> Iterator[Rig]:
    """One in a folder of its own; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="taskfleet-releases-") as place:
        made = Rig(Path(place), rules)
        try:
            yield made
        finally:
            made.close()


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and wait."""
    stop(process)
