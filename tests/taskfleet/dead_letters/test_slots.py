"""Each slot of a worker is free again in the end, whatever fails beside a task."""

from __future__ import annotations

import pytest
from taskfleet.contract import environment as env

from tests.support.processes import free_port, wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet.dead_letters.tasks import IMPATIENT, SLOW_START
from tests.taskfleet.dead_letters.test_failures import APP, letters, unacknowledged


def no_backend() -> dict[str, str]:
    """Nobody listens there."""
    return {"CELERY_RESULT_BACKEND": f"redis://127.0.0.1:{free_port()}/0"}


def test_children_killed_while_the_result_backend_is_away_leave_their_slots(fleet: TinyFleet) -> None:
    fleet.start_worker("r1", **APP, **no_backend())
    app = fleet.app()
    for n in range(2):  # as many as the worker has slots
        app.send_task("ends.killed-with-a-result", [n])

    fleet.wait_executed("ends.killed-with-a-result", 2, seconds=60)
    wait_for(lambda: unacknowledged(fleet) == 0, what="their acknowledgement")
    for n in range(6):
        app.send_task("ends.well", [n])
    fleet.wait_executed("well", 6)
    assert fleet.dead_letters("low") == 0


@pytest.mark.parametrize("execution", ["threads", "gevent"])
def test_what_celerys_tracer_raises_ends_the_task(fleet: TinyFleet, execution: str) -> None:
    fleet.start_worker("r1", **APP, **no_backend(), **{env.EXECUTION.name: execution})
    app = fleet.app()
    for _ in range(2):
        app.send_task("ends.badly-with-a-result")
        app.send_task("ends.exits")

    wait_for(lambda: fleet.dead_letters("low") == 4, seconds=60, what="the letters")
    wait_for(lambda: unacknowledged(fleet) == 0, what="their acknowledgement")
    app.send_task("ends.well", [1])
    fleet.wait_executed("well", 1)


def test_a_short_hard_limit_does_not_wait_for_the_fleets_soft_one(fleet: TinyFleet) -> None:
    fleet.start_worker("r1", **APP)
    fleet.app().send_task("ends.over-its-limit")

    wait_for(lambda: fleet.dead_letters("low") == 1, seconds=60, what="the letter")

    assert "TimeLimitExceeded" in letters(fleet)["ends.over-its-limit"].reason
    assert not list(fleet.events("outlived"))


def test_a_child_that_starts_slowly_works(fleet: TinyFleet) -> None:
    """Longer than Celery's own limit of four seconds, and anew after each task."""
    each = {SLOW_START: "5", env.MAX_TASKS_PER_CHILD.name: "1"}
    worker = fleet.start_worker("r1", **APP, **each)
    app = fleet.app()
    for n in range(4):
        app.send_task("ends.well", [n])

    fleet.wait_executed("well", 4, seconds=40)

    assert fleet.executed("well") == [0, 1, 2, 3]
    assert fleet.health(worker) == 0


def test_a_worker_without_a_child_that_could_run_a_task_is_not_healthy(fleet: TinyFleet) -> None:
    worker = fleet.start_worker("r1", **APP, **{SLOW_START: "3600", IMPATIENT: "1"})

    log = worker.place / "log"  # type: ignore[attr-defined]
    wait_for(lambda: "worker_proc_alive_timeout" in log.read_text(), seconds=60, what="the log to say so")
    wait_for(lambda: fleet.health(worker) == 1, what="the health check to say so, too")
