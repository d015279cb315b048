"""An update in place, which stays, and then one that fails and leaves everything as it was."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from taskfleet.contract import names

from tests.fleet.deployed import Deployed
from tests.support.reference import LOCAL

(LOW,) = (pool for pool in LOCAL.pools if pool.name == "low")
WIDER = LOW.max_workers + 1


def _deploy(fleet: Deployed, variant: str) -> tuple[int, str]:
    app = ["--app", f"{sys.executable} -m tests.fleet.variants {variant}"]
    context = ["-c", "env=local", "-c", "release=live", "-c", "live=true"]
    done = fleet.cdk(
        "deploy", "local/release-live", "--exclusively", *context, *app, "--require-approval", "never"
    )
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
