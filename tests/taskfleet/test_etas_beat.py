"""Real beats and workers: far ETAs cross releases, and run when they are due."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from celery import Celery
from taskfleet.contract import environment as env
from taskfleet.etas.store import Etas

from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet import far_beat
from tests.taskfleet.test_beat_turns import point

APP = {env.APP.name: "tests.taskfleet.far_beat:app", "PYTHONPATH": str(Path.cwd())}


@pytest.fixture
def far(fleet: TinyFleet) -> TinyFleet:
    for release in ("r1", "r2"):
        fleet.deploy(release, etas_beyond_seconds=far_beat.BEYOND_SECONDS)
    point(fleet, "r1")
    return fleet


def start_beat(fleet: TinyFleet, release: str, **more: str) -> Callable[[], int | None]:
    return fleet.start(
        "beat", fleet.environment(**APP, **more, **{env.RELEASE.name: release}), "beat: Starting"
    ).poll


def send(app: Celery, many: int, seconds: float) -> float:
    due = time.time() + seconds
    for n in range(many):
        app.send_task("far.arrived", [n, due], queue="low", eta=datetime.fromtimestamp(due, UTC))
    return due


def waiting(fleet: TinyFleet) -> int:
    return Etas(lambda: fleet.aws.client("dynamodb"), fleet.name).count().number


def test_far_etas_cross_a_promotion_and_run_when_they_are_due(far: TinyFleet) -> None:
    for release in ("r1", "r2"):
        start_beat(far, release)
        far.start_worker(release, **APP)
    app = far.app()

    send(app, 20, 20)
    assert waiting(far) == 20
    point(far, "r2")
    wait_for(lambda: len(list(far.events("arrived"))) >= 20, seconds=60, what="all of them")

    arrived = list(far.events("arrived"))
    assert sorted(each["n"] for each in arrived) == list(range(20)), "each once"
    assert {each["release"] for each in arrived} == {"r2"}
    assert all(0 <= each["late"] < 3 for each in arrived), "to the second, and the machine is busy"
    wait_for(lambda: waiting(far) == 0, what="an empty table")


def test_beat_that_is_killed_before_it_deletes_sends_none_twice(far: TinyFleet, tmp_path: Path) -> None:
    dies = tmp_path / "dies"
    dies.touch()
    first = start_beat(far, "r1", **{far_beat.DIES: str(dies)})
    far.start_worker("r1", **APP)

    send(far.app(), 5, 12)
    wait_for(lambda: first() is not None, seconds=60, what="the end of beat")
    assert waiting(far) == 5
    dies.unlink()
    start_beat(far, "r1")
    wait_for(lambda: len(list(far.events("arrived"))) >= 5, seconds=60, what="all of them")
    wait_for(lambda: waiting(far) == 0, seconds=30, what="an empty table")

    time.sleep(1)
    runs = sorted(each["n"] for each in far.events("arrived"))
    # Beat may have come back after they were due: then Redis no longer knows them, and they run again.
    assert set(runs) == set(range(5))
    assert len(runs) <= 10
