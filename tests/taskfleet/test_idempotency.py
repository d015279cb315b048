"""The key of a task: the same however its message comes to run, and what work makes of it."""

from __future__ import annotations

import pytest
from celery import Celery
from taskfleet import idempotency_key

from tests.support.tiny_fleet import TinyFleet


@pytest.fixture
def app() -> Celery:
    """One that goes nowhere."""
    return Celery("keys", set_as_current=False)


def test_it_is_the_tasks_id(app: Celery) -> None:
    task = app.task(idempotency_key)

    assert task.apply(task_id="mine", throw=True).get() == "mine"


def test_outside_a_message_there_is_none(app: Celery) -> None:
    for call in (idempotency_key, app.task(idempotency_key)):
        with pytest.raises(RuntimeError, match="outside a task"):
            call()


def test_retries_keep_it(fleet: TinyFleet) -> None:
    fleet.start_worker("r1")

    sent = fleet.app().send_task("drills.fail", ["retries", 1, 2])

    fleet.wait_executed("retries", 1)
    began = [line for line in fleet.events("began") if line["task"].endswith("fail")]
    assert [(line["id"], line["retries"]) for line in began] == [(sent.id, 0), (sent.id, 1), (sent.id, 2)]
