"""The example tasks: their plain code without Celery, their limits, and their chains on real workers.

These go with the examples: in a team's clone that has deleted them there is nothing to test.
"""

from __future__ import annotations

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from celery import Celery
from taskfleet.contract import container
from taskfleet.contract import environment as env

from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet

pytest.importorskip("example_tasks", reason="the example tasks are deleted")

from example_tasks.app import app
from example_tasks.tasks import accounts as account_tasks
from example_tasks.tasks import warehouse
from example_tasks.work import accounts, orders, parcels, reports

STAGES = "picking,packing,delivery"
# The team's application, and the drills' recording beside it: as on this machine's fleet.
EXAMPLES = {env.APP.name: "example_tasks.app:app", env.INCLUDE.name: "drills.tasks.recording"}


@pytest.fixture(scope="module")
def examples() -> Celery:
    """The example application with all its tasks."""
    app.loader.import_default_modules()
    app.finalize()
    return app


def test_an_order_goes_through_its_stages_once() -> None:
    history = orders.advance(1, [], "picked")
    again = orders.advance(1, history, "picked")

    assert orders.advance(1, again, "packed") == ["picked", "packed"]
    with pytest.raises(ValueError, match="can't be delivered before it is packed"):
        orders.advance(1, history, "delivered")
    with pytest.raises(ValueError, match="'lost' is not a stage: picked, packed, delivered"):
        orders.advance(1, history, "lost")


def _hand_over(order_id: int, key: str) -> bool:
    with contextlib.closing(parcels.connect()) as database:
        return parcels.hand_over(database, order_id, key=key)


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal's directory, as on this machine."""
    monkeypatch.setenv(container.JOURNAL, str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("recorded")
def test_a_parcel_is_handed_over_once_for_each_key() -> None:
    assert [_hand_over(1, "a"), _hand_over(1, "a"), _hand_over(2, "b")] == [True, False, True]

    with contextlib.closing(parcels.connect()) as database:
        assert parcels.handed_over(database) == [1, 2]


@pytest.mark.usefixtures("recorded")
def test_of_workers_that_hand_over_at_the_same_time_one_does() -> None:
    with ThreadPoolExecutor(8) as workers:
        for order_id in range(20):
            did = workers.map(_hand_over, [order_id] * 8, [f"key-{order_id}"] * 8)
            assert sorted(did) == [False] * 7 + [True]


@pytest.mark.usefixtures("recorded")
def test_a_hand_over_that_fails_leaves_no_key_behind() -> None:
    with pytest.raises(sqlite3.IntegrityError):
        _hand_over(None, "a")  # type: ignore[arg-type]

    assert _hand_over(1, "a")


def test_without_a_journal_nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(container.JOURNAL, raising=False)

    assert _hand_over(1, "a")
    assert _hand_over(1, "a")


@pytest.mark.usefixtures("recorded")
def test_a_message_that_comes_twice_hands_its_parcel_over_once(examples: Celery) -> None:
    deliver = examples.tasks["example_tasks.warehouse.deliver"]
    messages = [("one", 1), ("one", 1), ("two", 2)]

    histories = [
        deliver.apply([["picked", "packed"]], {"order_id": order_id}, task_id=task_id, throw=True).get()
        for task_id, order_id in messages
    ]

    assert histories == [["picked", "packed", "delivered"]] * 3
    with contextlib.closing(parcels.connect()) as database:
        assert parcels.handed_over(database) == [1, 2]


@pytest.mark.parametrize(
    ("users", "size", "portions"),
    [(0, 10, []), (1, 10, [(1, 1)]), (10, 5, [(1, 5), (6, 10)]), (11, 5, [(1, 5), (6, 10), (11, 11)])],
)
def test_portions_cover_every_user_once(users: int, size: int, portions: list[tuple[int, int]]) -> None:
    assert list(reports.portions(users, size)) == portions


def test_the_account_summary_adds_up() -> None:
    assert accounts.transform([100, 300]) == {"count": 2, "total": 400, "largest": 300}
    assert accounts.transform([]) == {"count": 0, "total": 0, "largest": 0}


def test_every_example_is_bounded_and_accepts_later_arguments(examples: Celery) -> None:
    own = [task for name, task in examples.tasks.items() if name.startswith("example_tasks.")]

    assert len(own) >= 10
    for task in own:
        assert task.max_retries is not None, task.name
        assert task.expires is not None, task.name
        assert task.acks_late, task.name
        assert task.run.__code__.co_flags & 0x08, f"{task.name} takes **kwargs"


def test_every_periodic_entry_names_a_task_that_exists(examples: Celery) -> None:
    for name, entry in examples.conf.beat_schedule.items():
        assert entry["task"] in examples.tasks, name


def test_a_chain_goes_on_over_the_queues_of_its_release(fleet: TinyFleet) -> None:
    fleet.start_worker("r1", f"low,etl,{STAGES}", **EXAMPLES)
    fleet.have(app)

    account_tasks.pipeline(7).delay()
    warehouse.order(8).delay()

    wait_for(lambda: len(list(fleet.events("succeeded"))) == 6, what="both chains")
    ran = {line["task"].removeprefix("example_tasks."): line["queue"] for line in fleet.events("succeeded")}
    assert ran == {
        "accounts.extract": "etl.r1",
        "accounts.transform": "etl.r1",
        "accounts.load": "etl.r1",
        "warehouse.pick": "picking.r1",
        "warehouse.pack": "packing.r1",
        "warehouse.deliver": "delivery.r1",
    }


def test_an_order_that_both_brokers_have_is_handed_over_once(
    fleet: TinyFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis takes the publish and does not say so in time: it goes to SQS too, and all stages run twice."""
    fleet.have(app).taskfleet.publisher._primary.answers()
    warehouse.order(7).delay()
    fleet.valkey.pause()
    warehouse.order(8).delay()
    fleet.valkey.resume()
    wait_for(lambda: fleet.waiting("picking", "r1") == 2, what="the copy on Redis")
    assert fleet.waiting_on_sqs("picking", "r1") == 1

    fleet.start_worker("r1", STAGES, **EXAMPLES)
    fleet.start_worker("r1", STAGES, **EXAMPLES, **{env.BROKER.name: env.FALLBACK})

    wait_for(lambda: len(list(fleet.events("succeeded"))) == 9, what="the stages of 7, and of 8 twice")
    assert len({line["id"] for line in fleet.events("succeeded")}) == 6
    monkeypatch.setenv(container.JOURNAL, str(fleet.journal))
    with contextlib.closing(parcels.connect()) as database:
        assert sorted(parcels.handed_over(database)) == [7, 8]
