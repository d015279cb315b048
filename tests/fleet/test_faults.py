"""Any one process of the fleet is killed: work goes on, or what is wrong is said."""

from __future__ import annotations

import os
import signal
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from taskfleet.contract import names

from local.supervisor.fleet import AGENT, ALARMS, BROKER, EMULATOR, FRONT, REPLICA, RESULTS
from local.supervisor.status import Status
from tests.fleet.deployed import Deployed, wait_until


def _pids(fleet: Deployed) -> dict[str, int]:
    status = Status.read(fleet.places.status)
    assert status is not None
    return {name: child.pid for name, child in status.children.items() if child.pid}


def _account_answers(fleet: Deployed) -> bool:
    try:
        return bool(fleet.current())
    except (BotoCoreError, ClientError, AssertionError):  # not there, not whole yet, or without a release
        return False


@pytest.mark.parametrize("name", [BROKER, REPLICA, RESULTS, FRONT, AGENT, ALARMS, EMULATOR])
def test_a_part_of_the_machine_is_started_again(fleet: Deployed, name: str) -> None:
    before = _pids(fleet)
    os.kill(before[name], signal.SIGKILL)
    wait_until(lambda: _pids(fleet).get(name, before[name]) != before[name], 30, f"{name} runs again")
    said = fleet.local("status").stdout
    assert name in said
    assert name != EMULATOR or "last two seconds may be lost" in said, "it is not silently wrong"
    # A producer that starts while the account is away says so; one that ran before needs nothing of it.
    wait_until(lambda: _account_answers(fleet), 60, "the account answers")
    run, _ = fleet.record("high", 10)
    fleet.wait_for_run(run, 10, seconds=90)


@pytest.mark.parametrize("name", ["controller", "beat", "high", "warehouse"])
def test_a_container_is_started_again(fleet: Deployed, name: str) -> None:
    faults, current = fleet.drill(), fleet.current()
    service = {"controller": names.CONTROLLER_SERVICE, "beat": names.beat_service(current)}.get(
        name, names.service(name, current)
    )
    before = [worker for worker in faults.containers() if worker.service == service]
    assert before
    before[0].kill()

    def replaced() -> bool:
        now = [worker for worker in faults.containers() if worker.service == service]
        return bool(now) and before[0].container not in {worker.container for worker in now}

    wait_until(replaced, 60, f"{service} runs again")
    run, _ = fleet.record("picking" if name == "warehouse" else "high", 10)
    fleet.wait_for_run(run, 10, seconds=90)


def test_the_controller_goes_on_measuring(fleet: Deployed) -> None:
    began = time.time()
    wait_until(lambda: fleet.fleet_json("status")["at"] > began, 60, "a look after the faults")
