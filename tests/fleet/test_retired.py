"""The first release, which `test_releases` had drained: it is held, sleeps, is woken and removed.

Draining takes minutes, in which the other tests of this fleet run.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

import pytest
from taskfleet.contract import names
from taskfleet.contract.metrics import LOOK_SECONDS
from taskfleet.releases.model import State
from taskfleet.releases.store import Conflict, Store

from tests.fleet.deployed import Deployed, wait_until
from tests.fleet.test_releases import BLUE, GREEN


@pytest.fixture(autouse=True)
def green(fleet: Deployed) -> None:
    assert fleet.current() == GREEN


def _states(fleet: Deployed) -> dict[str, str]:
    return {one["release"]: one["state"] for one in fleet.fleet_json("release", "list")["releases"]}


def _store(fleet: Deployed) -> Store:
    return Store(fleet.client("dynamodb"), "local")


def _state(fleet: Deployed) -> State:
    """Blue's, for a wait: the command line takes a second of the processor each time."""
    return _store(fleet).read([BLUE]).records[BLUE].state


def _do(fleet: Deployed, *command: str) -> str:
    """What ``fleet release … --yes`` prints; it must succeed."""
    done = fleet.fleet("release", *command, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _drained_for(fleet: Deployed, seconds: float) -> None:
    """Blue, as far as its record says."""
    store = _store(fleet)
    for _ in range(5):
        record = store.read([BLUE]).records[BLUE]
        with suppress(Conflict):  # the controller wrote it meanwhile
            store.save(replace(record, since=record.since - seconds, version=record.version + 1))
            return


def _of_blue(fleet: Deployed) -> dict[str, int]:
    """Its services, each with what it wants."""
    mine = {*(names.service(pool, BLUE) for pool in ("high", "low")), names.beat_service(BLUE)}
    return {name: service.desired for name, service in fleet.services().items() if name in mine}


def test_the_first_is_held_sleeps_and_is_woken(fleet: Deployed) -> None:
    wait_until(lambda: _state(fleet) is State.DRAINED, 240, "blue is drained")
    _do(fleet, "pause", BLUE)
    _drained_for(fleet, 2 * 3600)  # it is warm for one
    time.sleep(3 * LOOK_SECONDS)
    assert _states(fleet)[BLUE] == "drained", "a person has paused it"
    _do(fleet, "resume", BLUE)
    wait_until(lambda: _state(fleet) is State.ASLEEP, 60, "blue sleeps")
    wait_until(lambda: set(_of_blue(fleet).values()) == {0}, 60, "its workers and its beat are gone")
    wait_until(lambda: "beat: asleep" in fleet.fleet("status").stdout, 60, "a look says so")
    _do(fleet, "wake", BLUE)
    wait_until(lambda: _of_blue(fleet)[names.beat_service(BLUE)] == 1, 60, "its beat is back")
    wait_until(lambda: min(_of_blue(fleet).values()) == 1, 120, "its workers are back")
    assert _states(fleet)[BLUE] == "drained"


def test_the_first_is_removed(fleet: Deployed) -> None:
    wait_until(lambda: _state(fleet) is State.DRAINED, 240, "blue is drained")
    _do(fleet, "retire", BLUE, "--settle-seconds", "5")
    gone = names.service("low", BLUE)
    wait_until(lambda: gone not in fleet.services(), 90, "its services are gone")
    wait_until(lambda: not fleet.drill().workers("high-live", "low-live"), 60, "its workers are gone")
    wait_until(lambda: _state(fleet) is State.RETIRED, 60, "the controller has noted it")
    run, _ = fleet.record("high", 5)
    fleet.wait_for_run(run, 5, seconds=30)
