"""`deploys-cli`: releases in a row by `make deploy` on the local fleet, and one whose command is killed.

The local fleet ends on the last of them: `make down` and `make up` make a fresh one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from taskfleet.contract import names
from taskfleet.contract.environment import ENVIRONMENT
from taskfleet.releases.model import Record, State
from taskfleet.releases.store import Store

from drills.drill import LINGER_SECONDS, Drill
from drills.fleet import Fleet
from drills.load import Load, Running
from drills.releases.row import between, spread
from drills.report import Check, Figure, Report
from drills.tally import tally
from local import fleet_environment
from local.account import OPERATOR
from local.places import REPOSITORY, VARIABLE

SHORT, FULL = 1, 10
# Of plain tasks, with chains, children and retries among them (`drills.mixed`): 60 tasks/s.
RATE, MIXED_EVERY = 50.0, 9
DEPLOY_SECONDS, DRAIN_SECONDS = 600.0, 600.0
# SQS keeps to a policy at once here; two minutes on AWS.
SETTLE_SECONDS = "5"
_LONG_SECONDS = 7200.0


def run(fleet: Fleet, short: bool) -> Report:
    """The last command is killed once its stack is being made; all others must succeed."""
    row = _Row(fleet)
    load = Load(rate=RATE, seconds=_LONG_SECONDS, mixed_every=MIXED_EVERY)
    running = Running(
        load,
        run=f"deploys-cli-{uuid.uuid4().hex[:8]}",
        directory=fleet.places.root / "drills",
        journal=fleet.places.journal,
        environment=fleet.environment,
    )
    began, codes, retired = time.time(), list[int](), list[int]()
    try:
        for _ in range(SHORT if short else FULL):
            codes.append(row.deploy())
            retired.append(row.retire_the_one_before())
        killed = row.deploy_and_kill()
        retired.append(row.retire_the_one_before())
    finally:
        seconds = time.time() - began
        running.stop()
    running.wait_for_executions(DRAIN_SECONDS)
    time.sleep(LINGER_SECONDS)
    publishes, executions = running.publishes(), running.executions()
    counted = tally(publishes, executions)
    lines = [one for one in running.records() if one["event"] == "record" and one["run"] == running.run]
    other = sum(str(line["queue"]).rpartition(".")[2] != line["release"] for line in lines)
    over_both = len({(one.n, one.broker) for one in executions}) - counted.executed
    records = [record for name in row.releases[1:] if (record := row.record(name)) is not None]
    return Report(
        name="deploys-cli",
        checks=[
            Check(f"lost 0: {len(counted.lost)}", not counted.lost),
            Check(f"run by another release 0: {other}", not other),
            Check(
                f"duplicates 0, but for {over_both} that Redis took without saying so: {counted.duplicates}",
                counted.duplicates == over_both,
            ),
            Check(f"every publish was accepted: {counted.refused} were not", not counted.refused),
            Check(f"each `make deploy` succeeds: {codes}", not any(codes)),
            Check(f"each `fleet release retire` succeeds: {retired}", not any(retired)),
            Check(f"the command that was killed left a release that became current: {killed}", killed),
        ],
        figures={
            "deploys": len(codes) + 1,
            "submitted": counted.submitted,
            "executed": counted.executed,
            "lost": len(counted.lost),
            "duplicates": counted.duplicates,
            "run_by_another_release": other,
            "refused": counted.refused,
            "tasks_per_second": counted.submitted / seconds,
            **_times(row, records),
        },
    )


def _times(row: _Row, records: list[Record]) -> dict[str, Figure]:
    return {
        **spread("command", row.seconds),
        **spread("gate", [between(one, State.REGISTERED, State.CURRENT) for one in records]),
        **spread("drain", [between(one, State.DRAINING, State.DRAINED) for one in records[:-1]]),
    }


class _Row:
    """Releases of the local fleet, one after the other."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._environment = fleet.environment[ENVIRONMENT.name]
        self._store = Store(fleet.client("dynamodb"), self._environment)
        self._prefix = f"d{uuid.uuid4().hex[:4]}-"
        self.releases = [fleet.release()]
        self.seconds: list[float] = []
        self._log = fleet.places.root / "drills" / "deploys-cli.log"

    def record(self, release: str) -> Record | None:
        """Of a release, if it is registered."""
        return self._store.scan().records.get(release)

    def deploy(self) -> int:
        """The exit code of `make deploy`."""
        began = time.monotonic()
        code = self._begin().wait(DEPLOY_SECONDS)
        self.seconds.append(time.monotonic() - began)
        return code

    def deploy_and_kill(self) -> bool:
        """SIGKILL the command and all that it started; whether its release became current all the same."""
        process = self._begin()
        stack = names.release_stack(self._environment, self.releases[-1])
        cloudformation = self._fleet.client("cloudformation")

        def under_way() -> bool:
            found = cloudformation.describe_stacks()["Stacks"]
            return any((s["StackName"], s["StackStatus"]) == (stack, "CREATE_IN_PROGRESS") for s in found)

        _until(under_way, DEPLOY_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return _until(lambda: self._fleet.release() == self.releases[-1], DEPLOY_SECONDS)

    def retire_the_one_before(self) -> int:
        """Once it is drained; the exit code of `fleet release retire`."""
        before = self.releases[-2]
        _until(lambda: (r := self.record(before)) is not None and r.state is State.DRAINED, DRAIN_SECONDS)
        command = [str(Path(sys.executable).parent / "fleet"), "release", "retire", before, "--yes"]
        return self._start([*command, "--settle-seconds", SETTLE_SECONDS], OPERATOR).wait(DEPLOY_SECONDS)

    def _begin(self) -> subprocess.Popen[bytes]:
        self.releases.append(f"{self._prefix}{len(self.releases)}")
        return self._start(["make", "deploy", "ENV=local", f"RELEASE={self.releases[-1]}"])

    def _start(self, command: list[str], caller: str | None = None) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env=dict(self._shell(caller)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _shell(self, caller: str | None) -> Mapping[str, str]:
        places = self._fleet.places
        own = {VARIABLE: str(places.root), "CDK_OUTPUT": str(places.root / "cdk.drill")}
        credentials = {"AWS_ACCESS_KEY_ID": caller} if caller else {}
        return {**fleet_environment.sourced(places.env), **own, **credentials}


def _until(happened: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            return False
        time.sleep(1.0)
    return True


DEPLOYS_CLI = Drill(
    "deploys-cli",
    "ten releases in a row by `make deploy`, and one whose command is killed",
    run,
    in_tests=False,
)
