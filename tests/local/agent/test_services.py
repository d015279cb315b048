"""Services made to match what ECS says: scaling, deployments, protection, deletion."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from taskfleet.contract import images

from tests.local.agent.fleet import (
    CLUSTER,
    REPOSITORY,
    Fleet,
    deployed,
    environment_of,
    exists,
    pid_of,
    python,
    wait_for,
)

SLEEP = ["sleep", "1000"]


def test_a_service_is_scaled_out_and_in_and_removed(fleet: Fleet) -> None:
    fleet.serve("scaled", SLEEP)
    first = fleet.running("scaled")
    wait_for(lambda: deployed(fleet, "scaled"), what="the rollout")

    fleet.ecs.update_service(cluster=CLUSTER, service="scaled", desiredCount=3)
    three = fleet.running("scaled", 3)
    assert fleet.service("scaled")["runningCount"] == 3

    fleet.ecs.update_service(cluster=CLUSTER, service="scaled", desiredCount=1)
    assert fleet.running("scaled")[0]["taskArn"] == first[0]["taskArn"], "the newest go first"

    fleet.ecs.delete_service(cluster=CLUSTER, service="scaled", force=True)
    wait_for(lambda: not any(exists(pid_of(task)) for task in three), what="the end of every process")
    wait_for(lambda: not list((fleet.directory / "tasks").iterdir()), what="its private files' removal")


def test_a_new_revision_runs_before_the_old_one_stops(fleet: Fleet) -> None:
    fleet.serve("replaced", SLEEP)
    (old,) = fleet.running("replaced")
    slow = {"command": ["CMD-SHELL", "test -e $HOME/well"], "interval": 5}
    new = fleet.define(
        "replaced", ["/bin/sh", "-c", "sleep 2; touch $HOME/well; sleep 1000"], healthCheck=slow
    )
    fleet.ecs.update_service(cluster=CLUSTER, service="replaced", taskDefinition=new)
    fleet.running("replaced", 2)
    assert exists(pid_of(old))
    assert not deployed(fleet, "replaced")
    wait_for(lambda: deployed(fleet, "replaced"), what="the rollout")
    (only,) = fleet.running("replaced")
    assert only["taskDefinitionArn"] == new


def test_where_two_are_not_allowed_the_old_one_stops_first(fleet: Fleet) -> None:
    # A lock that two at once could not hold: the second would exit with 9.
    alone = python(
        "import fcntl, os, sys, time; file = open(os.environ['LOCK'], 'w')\n"
        "try: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "except OSError: sys.exit(9)\n"
        "time.sleep(1000)"
    )
    lock = [{"name": "LOCK", "value": str(fleet.source / "lock")}]
    bounds = {"minimumHealthyPercent": 0, "maximumPercent": 100}
    fleet.serve("single", alone, environment=lock, bounds=bounds)
    fleet.running("single")
    again = fleet.define("single", alone, environment=lock)
    fleet.ecs.update_service(cluster=CLUSTER, service="single", taskDefinition=again)
    wait_for(lambda: deployed(fleet, "single"), what="the rollout")
    (only,) = fleet.running("single")
    assert only["taskDefinitionArn"] == again
    codes = {task["containers"][0].get("exitCode") for task in fleet.tasks("single", "STOPPED")}
    assert codes == {143}


@pytest.mark.parametrize(
    ("command", "stop_code"),
    [(["no-such-command"], "TaskFailedToStart"), (["false"], "EssentialContainerExited")],
)
def test_the_circuit_breaker_goes_back_to_what_worked(
    fleet: Fleet, command: list[str], stop_code: str
) -> None:
    name, breaker = f"breaks-{command[0]}", {"enable": True, "rollback": True}
    good = fleet.serve(name, SLEEP, bounds={"deploymentCircuitBreaker": breaker})
    (old,) = fleet.running(name)
    wait_for(lambda: deployed(fleet, name), what="the first rollout")
    bad = fleet.define(name, command)
    fleet.ecs.update_service(cluster=CLUSTER, service=name, taskDefinition=bad)
    wait_for(lambda: fleet.service(name)["taskDefinition"] == good, what="the way back")
    stopped = [t for t in fleet.tasks(name, "STOPPED") if t["taskDefinitionArn"] == bad]
    assert [task["stopCode"] for task in stopped] == [stop_code] * 3
    assert exists(pid_of(old)) or len(fleet.tasks(name)) == 1  # it served all the time
    wait_for(lambda: deployed(fleet, name), what="a steady state")
    assert [task["taskDefinitionArn"] for task in fleet.running(name)] == [good]


def test_a_task_stopped_by_hand_is_replaced(fleet: Fleet) -> None:
    fleet.serve("stoppable", SLEEP)
    (task,) = fleet.running("stoppable")
    fleet.ecs.stop_task(cluster=CLUSTER, task=task["taskArn"])
    wait_for(lambda: fleet.tasks("stoppable", "STOPPED"), what="the stop")
    assert fleet.tasks("stoppable", "STOPPED")[0]["stopCode"] == "UserInitiated"
    fleet.running("stoppable")


def protected(uri: str, **asked: object) -> object:
    """What ``$ECS_AGENT_URI`` answers, after a PUT of what is asked if anything is."""
    data = json.dumps(asked).encode() if asked else None
    request = urllib.request.Request(uri, method="PUT" if asked else "GET", data=data)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310 - loopback
        return json.load(reply)["protection"]["ProtectionEnabled"]


@pytest.mark.parametrize("asked", ["by-the-task", "by-the-api"])
def test_a_protected_task_is_not_chosen_for_scale_in(fleet: Fleet, asked: str) -> None:
    fleet.serve("guarded", SLEEP)
    (first,) = fleet.running("guarded")
    fleet.ecs.update_service(cluster=CLUSTER, service="guarded", desiredCount=2)
    newest = fleet.running("guarded", 2)[-1]
    assert newest["taskArn"] != first["taskArn"]

    uri = environment_of(newest)["ECS_AGENT_URI"] + "/task-protection/v1/state"
    assert protected(uri) is False
    if asked == "by-the-task":
        assert protected(uri, ProtectionEnabled=True, ExpiresInMinutes=5) is True
        with pytest.raises(urllib.error.HTTPError, match="400"):
            protected(uri, ProtectionEnabled=True, ExpiresInMinutes=0)
        # ECS was asked, as AWS's agent asks it.
        known = fleet.ecs.get_task_protection(cluster=CLUSTER, tasks=[newest["taskArn"]])
        assert known["protectedTasks"][0]["protectionEnabled"] is True
    else:
        arns = [newest["taskArn"]]
        fleet.ecs.update_task_protection(cluster=CLUSTER, tasks=arns, protectionEnabled=True)
        # The agent hears of it in the answer to its next report.
        wait_for(lambda: protected(uri), what="the agent's knowledge of the protection")

    fleet.ecs.update_service(cluster=CLUSTER, service="guarded", desiredCount=1)
    assert fleet.running("guarded")[0]["taskArn"] == newest["taskArn"]


def test_a_second_agent_for_the_same_directory_refuses(fleet: Fleet) -> None:
    command = [sys.executable, "-m", "local.agent", "--endpoint", fleet.emulator.url]
    command += ["--local-dir", str(fleet.directory)]
    second = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=20)
    assert second.returncode == 1
    assert "another agent works in" in second.stdout


def test_the_images_of_this_machine_have_one_spelling() -> None:
    assert images.split_local(images.local("bucket", "a/b.zip")) == ("bucket", "a/b.zip")
    assert images.split_local(images.LIVE) is None
    assert images.split_local("public.ecr.aws/x/y:1") is None
