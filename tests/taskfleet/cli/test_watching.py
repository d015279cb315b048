"""`fleet release watch`: from a deploy to its end, on the real state table."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError
from taskfleet.cli.run import TIMED_OUT
from taskfleet.cli.watching import Drains, page
from taskfleet.contract.manifest import AUTOMATIC
from taskfleet.releases.model import State
from taskfleet.releases.observation import RemainingWork
from taskfleet.releases.progress import Progress
from taskfleet.releases.store import Store

from tests.taskfleet.cli.conftest import Fleet


def test_it_follows_a_gate_until_the_release_is_current(up: Fleet) -> None:
    """The controller and the workers go on in another thread, a step each time that something was printed."""
    made, controller = up.account.deploy("green", promotion=AUTOMATIC), up.account.controller()
    up.account.clock.now += 1
    up.look(controller, looks=2)

    def go_on() -> None:
        time.sleep(1.5)
        up.account.run_gates(made)
        up.look(controller, looks=2)

    others = threading.Thread(target=go_on)
    others.start()
    watched = up.run("release", "watch", "green", "--every", "0.5", "--timeout", "60")
    others.join()

    assert watched.exit_code == 0, watched.output
    lines = watched.output.splitlines()
    assert "green gating: waits for a task on high (primary); a task on low (primary)" in lines[0]
    assert "release green current: its gate has passed" in lines[-1]
    # What does not change is not printed again.
    assert len(lines) == len({line[10:] for line in lines}) <= 3


def test_one_that_failed_ends_it_with_1_and_its_reason(up: Fleet) -> None:
    made, controller = up.account.deploy("green"), up.account.controller()
    up.account.checks = ("shop.database",)
    up.look(controller, looks=2)
    up.account.run_gates(made)
    up.look(controller, looks=2)
    gating = up.run("release", "watch", "green", "--timeout", "0")
    assert gating.exit_code == TIMED_OUT
    assert "waits for its check shop.database" in gating.output
    up.account.end_check("green", "shop.database", "OperationalError: no such table: orders")
    up.look(controller, looks=2)

    watched = up.run("release", "watch", "green", "--timeout", "60")
    assert watched.exit_code == 1
    assert "its gate shop.database failed: OperationalError: no such table: orders" in watched.output


def test_json_is_one_object_a_line(up: Fleet) -> None:
    watched = up.run("release", "watch", "blue", "--json")
    (line,) = watched.output.splitlines()
    (blue,) = json.loads(line)["releases"]
    assert (blue["release"], blue["state"], blue["end"]) == ("blue", "current", "well")
    assert blue["left"]["total"] == 0


def test_a_release_that_there_is_not_is_an_error_at_once(up: Fleet) -> None:
    watched = up.run("release", "watch", "gren")
    assert watched.exit_code == 1
    assert "blue" in watched.output


def test_a_silent_controller_is_named_first(up: Fleet) -> None:
    """Nothing moves without it: what a release waits for is not what is wrong."""
    up.account.clock.now -= 600
    up.look()
    watched = up.run("release", "watch", "blue")
    assert "THE CONTROLLER IS SILENT" in watched.output.splitlines()[0]
    assert json.loads(up.run("release", "watch", "blue", "--json").output)["silent"] is True


def test_a_table_that_can_not_be_read_now_is_read_again(up: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, scan = iter([True, False, True]), Store.scan

    def throttled(store: Store) -> object:
        if next(reads):
            return scan(store)
        raise ClientError({"Error": {"Code": "ThrottlingException"}}, "Scan")

    monkeypatch.setattr(Store, "scan", throttled)
    watched = up.run("release", "watch", "blue", "--every", "0.5", "--timeout", "60")
    assert watched.exit_code == 0
    assert "can't be read, trying on: An error occurred (ThrottlingException)" in watched.output
    assert "release blue current" in watched.output


def _draining(total: int) -> Progress:
    left = RemainingWork(waiting=total, scheduled=0, unacknowledged=0, fallback=0, parked=0)
    return Progress(release="blue", state=State.DRAINING, since=0.0, reason="green became current", left=left)


def test_the_time_to_go_follows_from_what_was_seen_of_the_drain() -> None:
    drains = Drains()
    drains.see([_draining(100)], at=0.0)
    drains.see([_draining(80)], at=10.0)
    assert drains.seconds_left("blue") is None, "ten seconds say nothing"
    drains.see([_draining(40)], at=30.0)
    assert drains.seconds_left("blue") == 20.0
    assert "  empty in about 20 s, if it goes on like this" in list(page([_draining(40)], drains, 30.0))
    drains.see([_draining(120)], at=60.0)
    assert drains.seconds_left("blue") is None, "it grows"


def test_a_drain_that_begins_anew_has_a_rate_of_its_own() -> None:
    drains = Drains()
    drains.see([_draining(100)], at=0.0)
    drains.see([replace(_draining(0), state=State.DRAINED)], at=100.0)
    drains.see([_draining(50)], at=200.0)
    drains.see([_draining(25)], at=230.0)
    assert drains.seconds_left("blue") == 30.0
