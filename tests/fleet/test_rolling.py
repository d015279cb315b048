"""Builds are deployed into one release, on one set of queues, under load; one that breaks it is refused."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from taskfleet.contract import names
from taskfleet.contract import state as keys

from drills.tasks.scheduled import ENTRY, SECONDS
from infra.chosen import VARIABLE as ENVIRONMENTS
from local.places import REPOSITORY
from tests.fleet import rolled
from tests.fleet.conftest import processes_of
from tests.fleet.deployed import Deployed, wait_until


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """One of its own, with the first build."""
    deployed = Deployed(tmp_path_factory.mktemp("rolled"))
    deployed.environment[ENVIRONMENTS] = rolled.__name__
    up = deployed.local("up")
    try:
        assert up.returncode == 0, f"{up.stdout}\n{up.stderr}"
        yield deployed
    finally:
        down = deployed.local("down")
        assert down.returncode == 0, down.stdout + down.stderr
        assert processes_of(deployed) == []


def _deploy(fleet: Deployed, build: str, *options: str) -> subprocess.CompletedProcess[str]:
    more = {ENVIRONMENTS: rolled.__name__, rolled.BUILD: build}
    environment = {**fleet.shell(), **more, "CDK_OUTPUT": str(fleet.places.root / "cdk.test")}
    return subprocess.run(
        ["make", "deploy", "ENV=local", *options],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def _under_load(fleet: Deployed, run: str, deploy: Callable[[], Any]) -> tuple[Any, int]:
    """What the deploy came to, and how many tasks were accepted meanwhile."""
    accepted = 0
    with fleet.producer() as producer, ThreadPoolExecutor(1) as pool:
        deploying = pool.submit(deploy)
        while not deploying.done():
            order = {"task": "builds.charge", "kwargs": {"run": f"{run}-{accepted}", "n": "#"}}
            sent = producer.submit({**order, "count": 10, "options": {"queue": "low"}})
            accepted += len(sent)
            time.sleep(2)
        return deploying.result(), accepted


def _executed(fleet: Deployed, run: str) -> list[dict[str, Any]]:
    return [line for line in fleet.journal() if line["event"] == "record" and re.fullmatch(run, line["run"])]


def _each_once(fleet: Deployed, run: str, count: int) -> list[dict[str, Any]]:
    """All executions of ``count`` tasks, none of which ran twice."""
    wait_until(lambda: len(_executed(fleet, run)) >= count, 90, f"{count} of {run} have run")
    lines = _executed(fleet, run)
    assert max(Counter((line["run"], line["n"]) for line in lines).values()) == 1
    assert len(lines) == count
    return lines


def _firings(fleet: Deployed, since: float) -> list[float]:
    found = []
    for log in fleet.places.logs.glob(f"{names.beat_service(names.ROLLING)}/*.log"):
        for line in log.read_text().splitlines():
            said = json.loads(line) if line.startswith("{") else {}
            if f"entry {ENTRY}: sent builds.note" in said.get("message", ""):
                found.append(datetime.fromisoformat(said["time"]).timestamp())
    return sorted(at for at in found if at > since)


def _workers(fleet: Deployed) -> set[str]:
    return {worker.container for worker in fleet.drill().workers("high", "low")}


def _record(fleet: Deployed) -> dict[str, Any]:
    found: dict[str, Any] = fleet.fleet_json("release", "show", names.ROLLING)
    return found


def _build(fleet: Deployed) -> str:
    return str(json.loads(_record(fleet)["manifest"])["build"])


def _dead(fleet: Deployed) -> int:
    return sum(len(fleet.fleet_json("dead", "list", "--queue", each)["letters"]) for each in ("low", "high"))


def test_a_build_that_takes_all_calls_takes_over_under_load(fleet: Deployed) -> None:
    assert fleet.current() == names.ROLLING
    before, began = _workers(fleet), time.time()

    done, accepted = _under_load(fleet, "second", lambda: _deploy(fleet, "second"))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "release rolling is current: build s" in done.stdout
    assert not before & _workers(fleet)
    lines = _each_once(fleet, r"second-\d+", accepted)
    by = Counter(line["build"] for line in lines)
    assert set(by) == {"first", "second"}
    # What the new workers sent meanwhile, and the old ones do not know, has run too.
    _each_once(fleet, r"second-\d+-refund", by["second"])
    _each_once(fleet, r"second-\d+-note", by["second"])
    assert _dead(fleet) == 0
    wait_until(lambda: len(_firings(fleet, began)) > 2, 60, "beat fires on")
    slots = [int(at // SECONDS) for at in _firings(fleet, began)]
    assert slots == list(range(slots[0], slots[-1] + 1))


def test_a_build_that_breaks_calls_is_refused_before_it_runs_a_task(fleet: Deployed) -> None:
    done, accepted = _under_load(fleet, "third", lambda: _deploy(fleet, "third"))

    assert done.returncode != 0
    assert "is refused before it ran a task" in done.stdout
    assert "builds.charge, parameter 'amount': it is gone or renamed" in done.stdout
    assert "builds.refund: the task is gone" in done.stdout
    assert "BREAKS=builds.charge,builds.note,builds.refund" in done.stdout
    assert {line["build"] for line in _each_once(fleet, r"third-\d+", accepted)} == {"second"}
    assert _dead(fleet) == 0
    back = fleet.fleet("release", "rollback", "--yes")
    assert "deploy the source of the build before" in back.stdout + back.stderr


def test_a_build_whose_gate_fails_is_gone_back_from(fleet: Deployed) -> None:
    """Its workers have served by then."""
    second = _build(fleet)

    done, accepted = _under_load(fleet, "fourth", lambda: _deploy(fleet, "fourth"))

    assert done.returncode != 0
    why = "its gate builds.reaches_the_database failed: ConnectionError: no route to the database"
    assert why in done.stdout + done.stderr
    wait_until(lambda: _build(fleet) == second, 60, "the record has the build before")
    wait_until(lambda: _record(fleet).get("gate_passed_at"), 240, "whose gate has passed again")
    lines = _each_once(fleet, r"fourth-\d+", accepted)
    assert {line["build"] for line in lines} == {"second", "fourth"}
    assert _dead(fleet) == 0
    assert fleet.current() == names.ROLLING


def test_what_is_accepted_by_name_is_deployed(fleet: Deployed) -> None:
    done = _deploy(fleet, "third", "BREAKS=builds.charge,builds.note,builds.refund")
    assert done.returncode == 0, done.stdout + done.stderr
    item = fleet.client("dynamodb").get_item(
        TableName=names.state_table("local"), Key={keys.KEY: {"S": keys.signatures(names.ROLLING)}}
    )["Item"]
    newest = [change["reason"] for change in _record(fleet)["history"]][-1]
    assert newest == f"build {item['build']['S']} was deployed"
