"""A process that has as many threads as it may have: what needs one more must not stay half made."""

from __future__ import annotations

import pytest
from taskfleet.publishing.breaker import Breaker, State
from taskfleet.publishing.probe import Probe

from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet


def test_a_new_process_publishes_all_the_same(fleet: TinyFleet, no_threads: list[str]) -> None:
    no_threads += ["", ""]  # the pointer and the manifest, or the password

    fleet.app().send_task("anything", queue="low")

    assert no_threads == []
    assert fleet.waiting("low", "r1") == 1


def test_the_pointer_is_followed_all_the_same(fleet: TinyFleet, no_threads: list[str]) -> None:
    app = fleet.app()
    app.send_task("anything", queue="low")
    fleet.deploy("r2")
    fleet.promote("r2")
    app.taskfleet.releases.expire()
    no_threads += ["", ""]

    app.send_task("anything", queue="low")

    assert fleet.waiting("low", "r2") == 1


def test_a_breaker_that_opened_is_probed_by_the_next_publish(
    no_threads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskfleet.publishing.probe.PROBE_SECONDS", 0.01)
    breaker = Breaker()
    for _ in range(Breaker.FAILURES_TO_OPEN):
        breaker.failed()
    probe = Probe(breaker, lambda: True)
    no_threads.append("")

    probe.start()
    assert breaker.state is State.OPEN
    probe.start()

    wait_for(lambda: breaker.state is State.HALF_OPEN, what="the probe")


def test_after_an_outage_publishes_return_all_the_same(fleet: TinyFleet, no_threads: list[str]) -> None:
    app = fleet.app()
    app.send_task("anything", queue="low")
    fleet.valkey.kill()
    no_threads += ["", ""]
    for _ in range(4):
        app.send_task("anything", queue="low")
    fleet.valkey.start()

    def returned() -> bool:
        app.send_task("anything", queue="low")
        return fleet.waiting("low", "r1") > 1

    wait_for(returned, what="failback")
