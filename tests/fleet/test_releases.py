"""A second release is deployed beside the first, promoted by a command; the first is drained and removed."""

from __future__ import annotations

import pytest
from taskfleet.contract import names

from tests.fleet.deployed import Deployed, wait_until

GREEN = "r2"


def _states(fleet: Deployed) -> dict[str, str]:
    return {one["release"]: one["state"] for one in fleet.fleet_json("release", "list")["releases"]}


@pytest.fixture(scope="module")
def green(fleet: Deployed) -> str:
    """The second release, deployed as `make deploy ENV=local RELEASE=r2` does, and past its gate."""
    deploy = fleet.cdk(
        "deploy",
        "local/*",
        "-c",
        "env=local",
        "-c",
        f"release={GREEN}",
        "--require-approval",
        "never",
        timeout=300,
    )
    assert deploy.returncode == 0, deploy.stdout + deploy.stderr
    return GREEN


def test_blue_serves_until_green_is_promoted_and_loses_nothing(fleet: Deployed, green: str) -> None:
    blue = "live"
    assert fleet.current() == blue
    early, sent = fleet.record("low", 60, seconds=0.3)
    assert {one["broker"] for one in sent} == {"primary"}

    wait_until(
        lambda: fleet.fleet("release", "promote", green, "--yes").returncode == 0, 90, "the gate passes"
    )
    assert fleet.current() == green
    late, _ = fleet.record("low", 10)

    assert {line["queue"] for line in fleet.wait_for_run(late, 10, seconds=60)} == {f"low.{green}"}
    done = fleet.wait_for_run(early, 60, seconds=90)
    assert {line["queue"] for line in done} == {f"low.{blue}"}, "blue's work was run by blue"
    assert len(done) == 60


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
    wait_until(lambda: _states(fleet)["live"] == "drained", 150, "live is drained")
    retired = fleet.fleet("release", "retire", "live", "--yes", "--settle-seconds", "5")
    assert retired.returncode == 0, retired.stdout + retired.stderr
    gone = names.service("low", "live")
    wait_until(lambda: gone not in fleet.services(), 90, "its services are gone")
    wait_until(lambda: not fleet.drill().workers("high-live", "low-live"), 60, "its workers are gone")
    run, _ = fleet.record("high", 5)
    fleet.wait_for_run(run, 5, seconds=30)
