"""A second release is deployed beside the first and becomes current; the first is drained and removed."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from taskfleet.contract import names

from tests.fleet import first_deploy
from tests.fleet.deployed import Deployed, wait_until

BLUE, GREEN = "live", "r2"


def _states(fleet: Deployed) -> dict[str, str]:
    return {one["release"]: one["state"] for one in fleet.fleet_json("release", "list")["releases"]}


@pytest.fixture(scope="module")
def runs(fleet: Deployed) -> list[str]:
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


def test_a_release_with_work_is_not_removed(fleet: Deployed, green: str) -> None:
    refused = fleet.fleet("release", "retire", green, "--yes")
    assert refused.returncode == 1
    assert green in refused.stdout + refused.stderr


def test_the_first_is_drained_and_removed(fleet: Deployed, green: str) -> None:
    # A minute until beat's lease names green alone, another of empty looks.
    wait_until(lambda: _states(fleet)["live"] == "drained", 240, "live is drained")
    retired = fleet.fleet("release", "retire", "live", "--yes", "--settle-seconds", "5")
    assert retired.returncode == 0, retired.stdout + retired.stderr
    gone = names.service("low", "live")
    wait_until(lambda: gone not in fleet.services(), 90, "its services are gone")
    wait_until(lambda: not fleet.drill().workers("high-live", "low-live"), 60, "its workers are gone")
    run, _ = fleet.record("high", 5)
    fleet.wait_for_run(run, 5, seconds=30)
