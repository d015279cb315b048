"""Services made to match what ECS says: scaling, deployments, deletion, reload, and the agent's own death."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from taskfleet.contract import images

from tests.local.agent.fleet import CLUSTER, REPOSITORY, Fleet, environment_of, exists, pid_of, python
from tests.support.processes import wait_for

SLEEP = ["sleep", "1000"]
WITH_CHILD = ["/bin/sh", "-c", "setsid sleep 1000 & sleep 1001 & echo $!; wait"]


def deployed(fleet: Fleet, name: str) -> bool:
    """Whether ECS calls the service's deployment complete."""
    deployments = fleet.service(name)["deployments"]
    return [d["rolloutState"] for d in deployments] == ["COMPLETED"]


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
    wait_for(lambda: deployed(fleet, "replaced"), seconds=20, what="the rollout")
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


def test_the_circuit_breaker_goes_back_to_what_worked(fleet: Fleet) -> None:
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    good = fleet.serve("breaker", SLEEP, bounds=breaker)
    wait_for(lambda: deployed(fleet, "breaker"), what="the first rollout")
    bad = fleet.define("breaker", ["no-such-command"])
    fleet.ecs.update_service(cluster=CLUSTER, service="breaker", taskDefinition=bad)
    wait_for(lambda: fleet.service("breaker")["taskDefinition"] == good, seconds=20, what="the way back")
    assert "cannot start 'no-such-command'" in "".join(fleet.logs("breaker"))
    wait_for(lambda: len(fleet.tasks("breaker")) == 1, what="one task of the good definition")
    assert fleet.tasks("breaker")[0]["taskDefinitionArn"] == good


def test_a_task_stopped_by_hand_is_replaced(fleet: Fleet) -> None:
    fleet.serve("stoppable", SLEEP)
    (task,) = fleet.running("stoppable")
    fleet.ecs.stop_task(cluster=CLUSTER, task=task["taskArn"])
    wait_for(lambda: fleet.tasks("stoppable", "STOPPED"), what="the stop")
    assert fleet.tasks("stoppable", "STOPPED")[0]["stopCode"] == "UserInitiated"
    fleet.running("stoppable")


def put(uri: str, body: dict[str, object]) -> dict[str, object]:
    """What ``$ECS_AGENT_URI`` answers."""
    request = urllib.request.Request(uri, method="PUT", data=json.dumps(body).encode())  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310 - loopback
        protection: dict[str, object] = json.load(reply)["protection"]
    return protection


def test_a_protected_task_is_not_chosen_for_scale_in(fleet: Fleet) -> None:
    fleet.serve("guarded", SLEEP)
    (first,) = fleet.running("guarded")
    fleet.ecs.update_service(cluster=CLUSTER, service="guarded", desiredCount=2)
    newest = fleet.running("guarded", 2)[-1]
    assert newest["taskArn"] != first["taskArn"]

    uri = environment_of(newest)["ECS_AGENT_URI"] + "/task-protection/v1/state"
    assert put(uri, {"ProtectionEnabled": True, "ExpiresInMinutes": 5})["ProtectionEnabled"] is True
    with pytest.raises(urllib.error.HTTPError, match="400"):
        put(uri, {"ProtectionEnabled": True, "ExpiresInMinutes": 0})

    fleet.ecs.update_service(cluster=CLUSTER, service="guarded", desiredCount=1)
    assert fleet.running("guarded")[0]["taskArn"] == newest["taskArn"]


def test_an_edited_file_restarts_the_live_services_one_after_the_other(idle_fleet: Fleet) -> None:
    fleet = idle_fleet
    code = fleet.source / "code.py"
    code.write_text("VERSION = 1\n")
    fleet.start()
    command = python("import code, time; print('version', code.VERSION); time.sleep(1000)")
    fleet.serve("one", command), fleet.serve("two", command)
    before = [fleet.running(name)[0]["taskArn"] for name in ("one", "two")]
    code.write_text("VERSION = 22\n")
    wait_for(lambda: all("version 22" in fleet.logs(name)[-1] for name in ("one", "two")), what="the reload")
    after = [fleet.running(name)[0]["taskArn"] for name in ("one", "two")]
    assert not set(before) & set(after)
    assert "changed: code.py; workers of the live image restart" in fleet.events

    lines = [line.split(" ", 1)[1] for line in fleet.events.splitlines()]
    reloads = [line for line in lines if line.endswith(": reloading")]
    stops = [line[:3] for line in lines if "stopped, exit code" in line]
    assert sorted(reloads) == ["one: reloading", "two: reloading"]
    between = lines[lines.index(reloads[0]) : lines.index(reloads[1])]
    assert any("stopped, exit code" in line for line in between), "the second waited for the first"
    assert stops == [line[:3] for line in reloads]


def test_new_code_that_does_not_start_leaves_the_old_worker_running(idle_fleet: Fleet) -> None:
    fleet = idle_fleet
    code = fleet.source / "code.py"
    code.write_text("VERSION = 1\n")
    fleet.start()
    # Ready is what its health check says, so a worker that dies while it imports never counts.
    check = {"command": ["CMD-SHELL", "test -e $HOME/up"], "interval": 5}
    run = "import code, os, pathlib, time; pathlib.Path(os.environ['HOME'], 'up').touch(); time.sleep(1000)"
    fleet.serve("careful", python(run), healthCheck=check)
    (old,) = fleet.running("careful")
    wait_for(lambda: deployed(fleet, "careful"), what="the rollout")
    code.write_text("VERSION = \n")
    wait_for(lambda: len(fleet.tasks("careful", "STOPPED")) >= 2, what="two attempts")
    assert exists(pid_of(old))
    code.write_text("VERSION = 2\n")
    wait_for(lambda: not exists(pid_of(old)), seconds=20, what="the replacement")
    assert len(fleet.running("careful")) == 1


@pytest.mark.parametrize("init_too", [False, True], ids=["agent", "agent-and-inits"])
def test_nothing_is_left_of_a_killed_agent(fleet: Fleet, init_too: bool) -> None:
    """The containers die with it; those whose first process was killed too when the next agent starts."""
    fleet.serve("orphan", WITH_CHILD)
    (task,) = fleet.running("orphan")
    wait_for(lambda: fleet.logs("orphan")[0].strip(), what="the child")
    main, child = pid_of(task), int(fleet.logs("orphan")[0])
    assert fleet.agent is not None
    os.kill(fleet.agent.pid, signal.SIGSTOP)  # so that it can't clean up after its init
    if init_too:
        os.kill(os.getpgid(main), signal.SIGKILL)
    os.kill(fleet.agent.pid, signal.SIGKILL)
    fleet.agent.wait()
    if not init_too:
        wait_for(lambda: not exists(main) and not exists(child), what="the containers' end")
    fleet.start()
    wait_for(lambda: not exists(main) and not exists(child), what="the sweep")
    wait_for(lambda: main not in map(pid_of, fleet.tasks("orphan")), what="the new agent's report")
    assert len(fleet.running("orphan")) == 1


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
