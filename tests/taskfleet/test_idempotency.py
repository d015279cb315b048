"""The key of a task: the same however its message comes to run, and what work makes of it."""

from __future__ import annotations

import contextlib

import pytest
from celery import Celery
from example_tasks.tasks import warehouse
from example_tasks.work import parcels
from taskfleet import idempotency_key
from taskfleet.contract import container
from taskfleet.contract import environment as env

from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet

STAGES = "picking,packing,delivery"


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

    sent = fleet.app().send_task("example_tasks.drill.fail", ["retries", 1, 2])

    fleet.wait_executed("retries", 1)
    began = [line for line in fleet.events("began") if line["task"].endswith("fail")]
    assert [(line["id"], line["retries"]) for line in began] == [(sent.id, 0), (sent.id, 1), (sent.id, 2)]


def test_an_order_that_both_brokers_have_is_handed_over_once(
    fleet: TinyFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis takes the publish and does not say so in time: it goes to SQS too, and all stages run twice."""
    fleet.example_app().taskfleet.publisher._primary.answers()
    warehouse.order(7).delay()
    fleet.valkey.pause()
    warehouse.order(8).delay()
    fleet.valkey.resume()
    wait_for(lambda: fleet.waiting("picking", "r1") == 2, what="the copy on Redis")
    assert fleet.waiting_on_sqs("picking", "r1") == 1

    fleet.start_worker("r1", STAGES)
    fleet.start_worker("r1", STAGES, **{env.BROKER.name: env.FALLBACK})

    wait_for(lambda: len(list(fleet.events("succeeded"))) == 9, what="the stages of 7, and of 8 twice")
    assert len({line["id"] for line in fleet.events("succeeded")}) == 6
    monkeypatch.setenv(container.JOURNAL, str(fleet.journal))
    with contextlib.closing(parcels.connect()) as database:
        assert sorted(parcels.handed_over(database)) == [7, 8]
