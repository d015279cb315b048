"""The end: a crash of the supervisor leaves nothing running, and `cdk destroy` leaves nothing deployed."""

from __future__ import annotations

import os
import signal
import time

from taskfleet.contract import names, parameters

from local.down import supervisor_pid
from tests.fleet import first_deploy
from tests.fleet.conftest import processes_of
from tests.fleet.deployed import Deployed, wait_until


def test_a_killed_supervisor_takes_all_with_it_and_up_brings_it_back(fleet: Deployed) -> None:
    pid = supervisor_pid(fleet.places)
    assert pid is not None
    time.sleep(3)  # what a SIGKILL can take back of the account is its last two seconds
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: processes_of(fleet) == [], 30, "every process is gone")
    up = fleet.local("up")
    assert up.returncode == 0, up.stdout + up.stderr
    run, _ = fleet.record("high", 5)
    fleet.wait_for_run(run, 5, seconds=60)


def test_what_the_page_of_the_first_deploy_runs_besides(fleet: Deployed) -> None:
    others = [
        one for one in first_deploy.commands() if one not in (first_deploy.DEPLOY, first_deploy.DESTROY)
    ]
    failed = {
        command: done.stdout + done.stderr
        for command in others
        if (done := first_deploy.run(fleet, command)).returncode > (command == first_deploy.SAYS)
    }

    assert len(others) > 3
    assert failed == {}


def test_destroy_leaves_nothing(fleet: Deployed) -> None:
    """As the page of the first deploy ends, from a source that knows none of the releases."""
    running = fleet.drill()
    kept = first_deploy.run(fleet, first_deploy.DESTROY)
    assert (kept.returncode, "nothing is deleted" in kept.stdout) == (2, True), "make's, of a command's 1"
    destroyed = first_deploy.run(fleet, first_deploy.DESTROY, release="unheard-of", yes=True)
    assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr
    stacks = fleet.client("cloudformation").describe_stacks()["Stacks"]
    assert [s["StackName"] for s in stacks if s["StackName"].startswith(names.stack("local", ""))] == []
    pointer = {"Key": "Name", "Values": [parameters.current_release("local")]}
    assert fleet.client("ssm").describe_parameters(ParameterFilters=[pointer])["Parameters"] == []
    wait_until(lambda: not running.containers(), 60, "no container runs")
