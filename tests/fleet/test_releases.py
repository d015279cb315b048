"""A second release is deployed beside the first and becomes current; the first is drained and removed."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

import pytest
from taskfleet.contract import names
from taskfleet.contract.metrics import LOOK_SECONDS
from taskfleet.releases.store import Conflict, Store

from drills.tasks.scheduled import ENTRY, SECONDS
from tests.fleet import first_deploy
from tests.fleet.deployed import Deployed, wait_until

BLUE, GREEN = "live", "r2"


def _states(fleet: Deployed) -> dict[str, str]:
    return {one["release"]: one["state"] for one in fleet.fleet_json("release", "list")["releases"]}


@dataclass(frozen=True)
class Firing:
    """One that a release's beat says it has sent."""

    at: float
    id: str
    release: str


def _firings(fleet: Deployed, since: float) -> list[Firing]:
    """Since then, in the order of time, as the beats' logs have them."""
    found = []
    for log in fleet.places.logs.glob(f"{names.beat_service('*')}/*.log"):
        for line in log.read_text().splitlines():
            said = json.loads(line) if line.startswith("{") else {}
            if sent := re.match(rf"entry {ENTRY}: sent drills.record as (\S+)", said.get("message", "")):
                at = datetime.fromisoformat(said["time"]).timestamp()
                found.append(Firing(at, sent[1], log.parent.name.removeprefix(names.beat_service(""))))
    return sorted((one for one in found if one.at > since), key=lambda one: one.at)


@pytest.fixture(scope="module")
def began() -> float:
    """Before the deploy."""
    return time.time()


@pytest.fixture(scope="module")
def runs(fleet: Deployed, began: float) -> list[str]:
    """Tasks that were submitted while `make deploy ENV=local RELEASE=r2` ran, in runs of ten."""
    assert fleet.current() == BLUE
    submitted = []
    with ThreadPoolExecutor(1) as pool:
        deploying = pool.submit(_deploy, fleet)
        while not deploying.done():
            submitted.append(fleet.record("low", 10, seconds=0.2)[0])
            time.sleep(0.5)
    done = deploying.result()
    assert done.returncode == 0, done.stdout + done.stderr
    return submitted


def _deploy(fleet: Deployed) -> subprocess.CompletedProcess[str]:
    """As the page of the first deploy says."""
    return first_deploy.run(fleet, first_deploy.DEPLOY, release=GREEN)


@pytest.fixture(scope="module")
def green(runs: list[str]) -> str:
    return GREEN


def test_green_is_current_when_its_deploy_ends_and_nothing_is_lost(fleet: Deployed, runs: list[str]) -> None:
    wait_until(lambda: fleet.current() == GREEN, 10, "the controller publishes what it answered")
    late, sent = fleet.record("low", 10)
    assert {one["broker"] for one in sent} == {"primary"}
    assert {line["queue"] for line in fleet.wait_for_run(late, 10, seconds=60)} == {f"low.{GREEN}"}
    queues = [line["queue"] for run in runs for line in fleet.wait_for_run(run, 10, seconds=90)]
    assert len(queues) == 10 * len(runs)
    assert queues[0] == f"low.{BLUE}", "blue served while green was made"
    assert set(queues) <= {f"low.{BLUE}", f"low.{GREEN}"}


def test_rollback_is_the_pointer_back(fleet: Deployed, green: str) -> None:
    back = fleet.fleet("release", "rollback", "--yes")
    assert back.returncode == 0, back.stdout + back.stderr
    assert fleet.current() == "live"
    again = fleet.fleet("release", "promote", green, "--yes")
    assert again.returncode == 0, again.stdout + again.stderr
    assert fleet.current() == green


def test_each_firing_is_sent_once_by_the_beat_of_the_release_that_is_current(
    fleet: Deployed, green: str, began: float
) -> None:
    """Over a deploy, a rollback and a promotion, the last two right before one is due."""
    for release, command in ((BLUE, ("rollback", BLUE, "--yes")), (green, ("promote", green, "--yes"))):
        time.sleep((SECONDS - 1 - time.time()) % SECONDS)
        since = time.time()
        assert fleet.fleet("release", *command).returncode == 0
        wait_until(
            lambda since=since, release=release: [
                one for one in _firings(fleet, since) if one.release == release
            ],
            60,
            f"the beat of {release} fires",
        )
    sent = _firings(fleet, began)
    slots = [int(one.at // SECONDS) for one in sent]
    assert slots == list(range(slots[0], slots[-1] + 1)), [(one.at, one.release) for one in sent]
    turns = [release for release, _ in itertools.groupby(one.release for one in sent)]
    assert turns[-3:] == [green, BLUE, green]

    def ran() -> dict[str, list[str]]:
        lines = [line for line in fleet.executed("beat") if line["id"] in {one.id for one in sent}]
        return {one.id: [line["release"] for line in lines if line["id"] == one.id] for one in sent}

    wait_until(lambda: all(ran().values()), 60, "each firing has run")
    assert ran() == {one.id: [one.release] for one in sent}


def test_a_release_with_work_is_not_removed(fleet: Deployed, green: str) -> None:
    refused = fleet.fleet("release", "retire", green, "--yes")
    assert refused.returncode == 1
    assert green in refused.stdout + refused.stderr


def _do(fleet: Deployed, *command: str) -> str:
    """What ``fleet release … --yes`` prints; it must succeed."""
    done = fleet.fleet("release", *command, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _drained_for(fleet: Deployed, seconds: float) -> None:
    """Blue, as far as its record says."""
    store = Store(fleet.client("dynamodb"), "local")
    for _ in range(5):
        record = store.read([BLUE]).records[BLUE]
        with suppress(Conflict):  # the controller wrote it meanwhile
            store.save(replace(record, since=record.since - seconds, version=record.version + 1))
            return


def _of_blue(fleet: Deployed) -> dict[str, int]:
    """Its services, each with what it wants."""
    mine = {*(names.service(pool, BLUE) for pool in ("high", "low")), names.beat_service(BLUE)}
    return {name: service.desired for name, service in fleet.services().items() if name in mine}


def test_the_first_is_held_sleeps_and_is_woken(fleet: Deployed, green: str) -> None:
    wait_until(lambda: _states(fleet)[BLUE] == "drained", 240, "blue is drained")
    _do(fleet, "pause", BLUE)
    _drained_for(fleet, 2 * 3600)  # it is warm for one
    time.sleep(3 * LOOK_SECONDS)
    assert _states(fleet)[BLUE] == "drained", "a person has paused it"
    _do(fleet, "resume", BLUE)
    wait_until(lambda: _states(fleet)[BLUE] == "asleep", 60, "blue sleeps")
    wait_until(lambda: set(_of_blue(fleet).values()) == {0}, 60, "its workers and its beat are gone")
    wait_until(lambda: "beat: asleep" in fleet.fleet("status").stdout, 60, "a look says so")
    _do(fleet, "wake", BLUE)
    wait_until(lambda: _of_blue(fleet)[names.beat_service(BLUE)] == 1, 60, "its beat is back")
    wait_until(lambda: min(_of_blue(fleet).values()) == 1, 120, "its workers are back")
    assert _states(fleet)[BLUE] == "drained"


def test_what_is_left_in_the_first_is_parked_and_it_is_removed(fleet: Deployed, green: str) -> None:
    options = {"queue": names.versioned_queue("low", BLUE), "countdown": 500}
    (late,) = fleet.submit({"task": "drills.record", "kwargs": {"run": "late", "n": 1}, "options": options})
    wait_until(lambda: _states(fleet)[BLUE] == "draining", 60, "it has work again")
    refused = fleet.fleet("release", "retire", BLUE, "--yes")
    assert (refused.returncode, "--park" in refused.stdout + refused.stderr) == (1, True)
    _do(fleet, "retire", BLUE, "--park", "--settle-seconds", "5")
    parked = {one["task_id"] for one in fleet.fleet_json("dead", "list")["letters"]}
    assert late["id"] in parked
    gone = names.service("low", BLUE)
    wait_until(lambda: gone not in fleet.services(), 90, "its services are gone")
    wait_until(lambda: not fleet.drill().workers("high-live", "low-live"), 60, "its workers are gone")
    wait_until(lambda: _states(fleet)[BLUE] == "retired", 60, "the controller has noted it")
    run, _ = fleet.record("high", 5)
    fleet.wait_for_run(run, 5, seconds=30)
