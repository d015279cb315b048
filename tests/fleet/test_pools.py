"""Work of every kind goes through its own pool, and the limits of the settings act on it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.fleet.deployed import Deployed, wait_until
from tests.support.reference import LOCAL_LIMITS

QUEUES = ("high", "low", "etl", "picking", "packing", "delivery")


@pytest.fixture(scope="module")
def recorded(fleet: Deployed) -> dict[str, tuple[str, list[dict[str, Any]]]]:
    with fleet.producer() as producer:
        return {queue: producer.record(queue, 5) for queue in QUEUES}


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_is_served_from_its_versioned_list(
    fleet: Deployed, recorded: dict[str, tuple[str, list[dict[str, Any]]]], queue: str
) -> None:
    run, sent = recorded[queue]
    assert {one["broker"] for one in sent} == {"primary"}
    done = fleet.wait_for_run(run, 5, seconds=30)
    assert len(done) == 5
    assert {line["queue"] for line in done} == {f"{queue}.{fleet.current()}"}


def test_work_of_each_kind_runs_to_its_end(fleet: Deployed) -> None:
    """`make try`: single tasks on each queue, chains over all, retries, and one that fans out."""
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "local.try_it"],
        env=fleet.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _events(fleet: Deployed, ids: set[str], event: str) -> list[dict[str, Any]]:
    return [line for line in fleet.journal() if line["event"] == event and line.get("id") in ids]


def test_a_task_over_its_time_limit_is_stopped(fleet: Deployed) -> None:
    """The pool's soft limit, with none of the task's own."""
    began = time.time()
    _, sent = fleet.record("high", 1, seconds=LOCAL_LIMITS.time_limit_seconds * 3)
    ids = {one["id"] for one in sent}
    wait_until(lambda: _events(fleet, ids, "failed"), LOCAL_LIMITS.time_limit_seconds + 20, "the limit")
    assert time.time() - began >= LOCAL_LIMITS.soft_time_limit_seconds - 1


def test_a_child_that_grew_is_replaced(fleet: Deployed) -> None:
    """Each task leaks 300 MiB: more children run them than the pool has slots, and none is lost."""
    fleet.wait_until_at_rest("low")
    before = {worker.container for worker in fleet.drill().workers("low")}
    order = {
        "task": "drills.leak",
        "kwargs": {"run": "leak", "n": "#", "mib": 300},
        "count": 12,
        "options": {"queue": "low"},
    }
    fleet.submit(order)
    done = fleet.wait_for_run("leak", 12, seconds=60)
    assert len({line["pid"] for line in done}) > 2 * len(before)
    assert before <= {worker.container for worker in fleet.drill().workers("low")}, "the container lived on"


def test_a_dead_workers_message_is_given_to_another(fleet: Deployed) -> None:
    run, sent = fleet.record("low", 2, seconds=4)
    wait_until(lambda: len(_events(fleet, {one["id"] for one in sent}, "began")) == 2, 30, "both began")
    for worker in fleet.drill().workers("low"):
        worker.kill()
    fleet.wait_for_run(run, 2, seconds=LOCAL_LIMITS.visibility_timeout_seconds + 30)
