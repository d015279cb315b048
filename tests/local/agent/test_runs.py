"""RunTask in the emulated account, and `fleet run` on it: real processes under a real agent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from taskfleet import one_off
from taskfleet.contract import container, images, names
from taskfleet.contract import state as keys
from taskfleet.contract.manifest import BeforeGate
from taskfleet.one_off import Place
from taskfleet.releases.items import from_pointer, from_record, wire
from taskfleet.releases.model import Pointer, Record, State
from taskfleet.releases.store import Conflict, Store

from tests.local.agent.fleet import Emulator, Fleet, python, wait_for
from tests.support.valkey import Valkey
from tests.taskfleet.controller.account import Account
from tests.taskfleet.releases.factory import record

ENV = "runs"
PLACE = Place(ENV, "low", "green")
COMMAND = str(Path(sys.executable).with_name("fleet"))


def define(emulator: Emulator, place: Place) -> str:
    """A pool's task definition, as far as it matters here; its family."""
    family = names.task_family(place.environment, place.service)
    emulator.client("ecs").register_task_definition(
        family=family,
        containerDefinitions=[
            {
                "name": container.NAME,
                "image": images.LIVE,
                "command": ["sleep", "1000"],
                "stopTimeout": 5,
                "environment": [{"name": "SHOP", "value": "7"}],
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {"awslogs-group": place.log_group, "awslogs-stream-prefix": place.service},
                },
            }
        ],
    )
    return family


@pytest.fixture(scope="module")
def low(emulator: Emulator, module_fleet: Fleet) -> Fleet:
    """An environment with a current release `green` of the pools `high` and `low`."""
    ecs, dynamodb, logs = (emulator.client(name) for name in ("ecs", "dynamodb", "logs"))
    ecs.create_cluster(clusterName=PLACE.cluster)
    logs.create_log_group(logGroupName=PLACE.log_group)
    family = define(emulator, PLACE)
    ecs.create_service(
        cluster=PLACE.cluster,
        serviceName=PLACE.service,
        taskDefinition=family,
        desiredCount=0,
    )
    dynamodb.create_table(
        TableName=names.state_table(ENV),
        KeySchema=[{"AttributeName": keys.KEY, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": keys.KEY, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for item in (from_pointer(Pointer("green", 1)), from_record(record("green", State.CURRENT))):
        dynamodb.put_item(TableName=names.state_table(ENV), Item=wire(item))
    return module_fleet


def environment(low: Fleet) -> dict[str, str]:
    """Of an operator's shell."""
    return {
        **os.environ,
        "TASKFLEET_ENVIRONMENT": ENV,
        "AWS_ENDPOINT_URL": low.emulator.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


def fleet_run(low: Fleet, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "run", *arguments],
        env=environment(low),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def stopped(low: Fleet) -> list[dict[str, Any]]:
    """The tasks of the environment that have ended."""
    arns = low.ecs.list_tasks(cluster=PLACE.cluster, desiredStatus="STOPPED")["taskArns"]
    return list(low.ecs.describe_tasks(cluster=PLACE.cluster, tasks=arns)["tasks"]) if arns else []


def test_a_command_runs_once_with_the_pools_variables_and_its_output_and_code_are_its_own(low: Fleet) -> None:
    script = python("import os, sys; print('shop', os.environ['SHOP']); print(); print('done'); sys.exit(3)")

    done = fleet_run(low, "--pool", "low", "--", *script)

    assert (done.returncode, done.stdout) == (3, "shop 7\n \ndone\n"), done.stderr
    assert "release green, pool low" in done.stderr
    ours = [task for task in stopped(low) if task["startedBy"].startswith("fleet-run/")]
    assert [task["group"] for task in ours] == [f"family:{names.task_family(ENV, PLACE.service)}"]
    assert (
        low.ecs.describe_services(cluster=PLACE.cluster, services=[PLACE.service])["services"][0][
            "runningCount"
        ]
        == 0
    ), "it is no worker of the service's"


def test_a_timeout_and_an_interrupt_stop_it(low: Fleet) -> None:
    late = fleet_run(low, "--pool", "low", "--timeout", "2", "--", "sleep", "1000")
    assert late.returncode == 124, late.stderr

    begun = low.directory / "begun"
    process = subprocess.Popen(
        [COMMAND, "run", "--pool", "low", "--", "/bin/sh", "-c", f"touch {begun}; exec sleep 1000"],
        env=environment(low),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(begun.exists, what="the start of the command")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "stopping it" in said
    assert low.ecs.list_tasks(cluster=PLACE.cluster, desiredStatus="RUNNING")["taskArns"] == []


def test_what_can_not_begin_says_why(low: Fleet) -> None:
    done = fleet_run(low, "--pool", "low", "--json", "--", "no-such-command")

    assert done.returncode == json.loads(done.stdout)["exit_code"] == 127
    assert "CannotStartContainerError: 'no-such-command'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--pool", "lwo"), "one of high, low"),
        (("--release", "red"), "known: green"),
        (("--pool", "high"), "has no service high-green: deploy it first"),
    ],
)
def test_what_can_not_run_says_what_could(low: Fleet, arguments: tuple[str, ...], says: str) -> None:
    done = fleet_run(low, *arguments, "--", "true")

    assert (done.returncode, says in done.stderr) == (1, True), done.stderr


def test_the_same_token_starts_no_second_one_and_it_is_found_by_its_name(low: Fleet) -> None:
    ecs = low.ecs
    given = {"token": "before-gate-green", "started_by": "before-gate/green"}

    first = one_off.start(ecs, PLACE, ["sleep", "1000"], **given)
    again = one_off.start(ecs, PLACE, ["sleep", "1000"], **given)

    assert first == again == one_off.find(ecs, PLACE, "before-gate/green")
    wait_for(lambda: one_off.look(ecs, PLACE, first).status == "RUNNING", what="its start")  # type: ignore[union-attr]
    one_off.stop(ecs, PLACE, first, "enough")
    wait_for(lambda: one_off.look(ecs, PLACE, first).ended, what="its end")  # type: ignore[union-attr]
    assert one_off.find(ecs, PLACE, "before-gate/green") == first, "ECS shows it for a while"
    assert one_off.find(ecs, PLACE, "before-gate/red") is None


def test_an_override_of_a_container_that_is_not_there_is_refused(low: Fleet) -> None:
    family = names.task_family(ENV, PLACE.service)
    wrong = {"containerOverrides": [{"name": "worker", "command": ["true"]}]}

    with pytest.raises(ClientError, match="worker"):
        low.ecs.run_task(cluster=PLACE.cluster, taskDefinition=family, overrides=wrong)


class Shop:
    """An environment whose releases have a command before their gate, looked at by a real controller."""

    def __init__(self, emulator: Emulator, valkey: Valkey) -> None:
        self.account = Account(emulator, valkey)  # type: ignore[arg-type]
        self.emulator = emulator

    def deploy(self, release: str, *command: str, seconds: int = 60) -> None:
        """What a release's stack makes, without its services' tasks."""
        place = Place(self.account.name, "low", release)
        before = BeforeGate(command, pool="low", timeout_seconds=seconds)
        self.account.deploy(release, before_gate=before)
        self.emulator.client("logs").create_log_group(logGroupName=place.log_group)
        family = define(self.emulator, place)
        self.account.ecs.update_service(
            cluster=place.cluster, service=place.service, taskDefinition=family, desiredCount=0
        )

    def look_until(self, release: str, state: State) -> Record:
        """Each look by a controller that was started just now: what the one before knew is lost."""

        def reached() -> bool:
            self.account.clock.now = time.time()
            self.account.controller().look()
            return self.account.store.scan().records[release].state is state

        wait_for(reached, what=f"{release} is {state}")
        return self.account.store.scan().records[release]


@pytest.fixture(scope="module")
def shop(emulator: Emulator, module_fleet: Fleet, valkey: Valkey) -> Shop:
    return Shop(emulator, valkey)


def test_a_release_waits_for_its_command_which_runs_once_over_controllers_that_come_and_go(
    shop: Shop, tmp_path: Path
) -> None:
    ran, go = tmp_path / "ran", tmp_path / "go"
    shop.deploy("green", "/bin/sh", "-c", f"echo once >>{ran}; while ! test -e {go}; do sleep 0.2; done")
    account = shop.account
    # A controller that is lost after it has started the task, and before it has written that down.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "save", lambda *_: (_ for _ in ()).throw(Conflict("lost")))
        account.controller().look()
    wait_for(ran.exists, what="the start of the command")
    assert account.store.scan().records["green"].before is None

    for _ in range(3):
        account.clock.now = time.time()
        account.controller().look()
    assert account.states()["green"] == "registered"
    go.touch()

    record = shop.look_until("green", State.GATING)
    assert record.history[-1].reason == "its command before the gate ended with 0"
    assert ran.read_text() == "once\n"


def test_a_command_that_fails_fails_its_release_and_says_why(shop: Shop) -> None:
    shop.deploy("red", "/bin/sh", "-c", "echo migrating; echo no such table: orders; exit 4")

    record = shop.look_until("red", State.FAILED)

    assert record.history[-1].reason == (
        "its command before the gate ended with 4: migrating | no such table: orders"
    )
    assert "red" not in {gate.release for gate in shop.account.gates.sent}


def test_a_command_that_takes_too_long_is_stopped(shop: Shop) -> None:
    shop.deploy("slow", "sleep", "1000", seconds=2)

    record = shop.look_until("slow", State.FAILED)

    assert record.history[-1].reason == "its command before the gate ran for 2 s"
    place = Place(shop.account.name, "low", "slow")
    assert record.before is not None
    task = record.before.task
    wait_for(lambda: one_off.look(shop.account.ecs, place, task).ended, what="its end")  # type: ignore[union-attr]
