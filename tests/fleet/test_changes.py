"""An update in place, which stays, and then one that fails and leaves everything as it was."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from taskfleet.contract import names

from tests.fleet.deployed import Deployed, wait_until
from tests.support.reference import LOCAL

(LOW,) = (pool for pool in LOCAL.pools if pool.name == "low")
WIDER = LOW.max_workers + 1


def _deploy(fleet: Deployed, variant: str, *more: str, release: str = "live") -> tuple[int, str]:
    app = ["--app", f"{sys.executable} -m tests.fleet.variants {variant}"]
    context = ["-c", "env=local", "-c", f"release={release}", "-c", "live=true"]
    words = [f"local/release-{release}", "--exclusively", "--require-approval", "never"]
    done = fleet.cdk("deploy", *words, *context, *app, *more)
    return done.returncode, done.stdout + done.stderr


def _allowed(fleet: Deployed) -> int:
    targets = fleet.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="ecs")
    suffix = f"/{names.service('low', 'live')}"
    (low,) = [t for t in targets["ScalableTargets"] if t["ResourceId"].endswith(suffix)]
    most: int = low["MaxCapacity"]
    return most


def _containers(fleet: Deployed, pool: str) -> set[str]:
    return {worker.container for worker in fleet.drill().workers(pool)}


def test_a_setting_is_changed_in_place_under_load(fleet: Deployed) -> None:
    low, high = _containers(fleet, "low"), _containers(fleet, "high")
    runs = []
    with fleet.producer() as producer, ThreadPoolExecutor(1) as pool:
        deploying = pool.submit(_deploy, fleet, "wider")
        while not deploying.done():
            runs.append(producer.record("low", 10, seconds=0.2)[0])
            time.sleep(2)
    code, output = deploying.result()
    assert code == 0, output
    assert _allowed(fleet) == WIDER
    assert not _containers(fleet, "low") & low, "its workers have the new limit"
    assert _containers(fleet, "high") == high, "what did not change was not restarted"
    for run in runs:
        fleet.wait_for_run(run, 10, seconds=60)


def test_an_update_whose_workers_do_not_start_is_rolled_back(fleet: Deployed) -> None:
    """What is named as the application is none, so no new worker gets ready: the old ones go on."""
    assert _allowed(fleet) == WIDER
    code, output = _deploy(fleet, "broken")
    assert code != 0
    assert "circuit breaker" in output.lower()
    stack = fleet.client("cloudformation").describe_stacks(StackName=names.release_stack("local", "live"))[
        "Stacks"
    ][0]
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert _allowed(fleet) == WIDER
    run, _ = fleet.record("low", 5)
    fleet.wait_for_run(run, 5, seconds=30)


def test_a_release_whose_beat_does_not_start_fails_with_the_reason_and_sleeps_until_it_is_retired(
    fleet: Deployed,
) -> None:
    """It fails before its manifest is written, and is left as `make deploy` leaves it."""
    blue = fleet.current()
    code, output = _deploy(fleet, "beatless", "--no-rollback", release="beatless")
    assert code != 0
    assert "circuit breaker" in output.lower()
    assert names.beat_service("beatless") in output

    def listed() -> dict[str, str]:
        return {one["release"]: one["state"] for one in fleet.fleet_json("release", "list")["releases"]}

    wait_until(lambda: listed().get("beatless") == "failed", 60, "the controller knows of it")

    def awake() -> list[str]:
        return [name for name, one in fleet.services().items() if "-beatless" in name and one.desired]

    wait_until(lambda: not awake(), 60, "what there is of it sleeps")
    assert "release beatless failed: its stack failed (CREATE_FAILED" in fleet.fleet("status").stdout
    assert fleet.current() == blue
    retired = fleet.fleet("release", "retire", "beatless", "--yes", "--settle-seconds", "5")
    assert retired.returncode == 0, retired.stdout + retired.stderr
    wait_until(lambda: listed()["beatless"] == "retired", 60, "its stack is gone")
