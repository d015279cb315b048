"""A second release is deployed beside the first and becomes current. `test_retired` ends the first."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import pytest
from taskfleet.contract import names

from drills.tasks.scheduled import ENTRY, SECONDS
from tests.fleet import first_deploy
from tests.fleet.deployed import Deployed, wait_until

BLUE, GREEN = "live", "r2"


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
    with fleet.producer() as producer, ThreadPoolExecutor(1) as pool:
        deploying = pool.submit(_deploy, fleet)
        while not deploying.done():
            submitted.append(producer.record("low", 10, seconds=0.2)[0])
            time.sleep(2)
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

    def fired_last() -> list[str]:
        return [one.release for one in _firings(fleet, began)][-1:]

    wait_until(lambda: fired_last() == [green], 60, f"the beat of {green} fires")
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
