"""A result backend beside the brokers: results arrive, and it takes no part in a publish."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, group
from taskfleet import InvalidTask, SettingsError

from tests.support.tiny_fleet import TinyFleet
from tests.support.valkey import Valkey


@pytest.fixture
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A result backend that a test may hang."""
    server = Valkey(tmp_path_factory.mktemp("results"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def app(fleet: TinyFleet, results: Valkey) -> Celery:
    """A producer that may read results, with a task `answer`."""
    made = fleet.app()
    made.taskfleet.releases.queues(made.taskfleet.releases.current())  # a first publish waits for them
    made.conf.result_backend = results.url
    made.task(name="answer", ignore_result=False)(_answer)
    return made


def _answer() -> None: ...


def _store(results: Valkey, task_id: str, value: int) -> None:
    """What a worker does."""
    worker = Celery("worker", backend=results.url, set_as_current=False)
    worker.backend.store_result(task_id, value, "SUCCESS")


def _publishes(app: Celery) -> dict[str, Any]:
    answer = app.tasks["answer"]
    return {
        "by name": lambda: app.send_task("anything"),
        "of a task": lambda: answer.delay(),
        "of a group": lambda: group([answer.s(), answer.s()], app=app).apply_async(),
    }


@pytest.mark.parametrize("how", ["by name", "of a task", "of a group"])
def test_a_backend_that_hangs_does_not_hold_up_a_publish(
    fleet: TinyFleet, app: Celery, results: Valkey, how: str
) -> None:
    publish = _publishes(app)[how]
    results.pause()

    began = time.monotonic()
    result = publish()

    assert time.monotonic() - began < 1.5
    assert fleet.waiting("low", "r1") == (2 if how == "of a group" else 1)
    results.resume()
    del result


def test_nor_does_one_that_hangs_after_a_result_was_waited_for(
    fleet: TinyFleet, app: Celery, results: Valkey
) -> None:
    first = app.tasks["answer"].delay()
    _store(results, first.id, 1)
    assert first.get(timeout=5) == 1
    results.pause()

    began = time.monotonic()
    results_later = app.tasks["answer"].delay()

    assert time.monotonic() - began < 1.5
    assert fleet.waiting("low", "r1") == 2
    results.resume()
    _store(results, results_later.id, 2)
    assert results_later.get(timeout=5) == 2


def test_a_result_that_came_before_anybody_waited_is_there(app: Celery, results: Valkey) -> None:
    result = app.tasks["answer"].delay()
    _store(results, result.id, 42)

    assert result.get(timeout=5) == 42


def test_a_result_that_is_waited_for_arrives(app: Celery, results: Valkey) -> None:
    for _ in range(3):  # the first wait connects
        result = app.tasks["answer"].delay()
        later = threading.Timer(0.5, _store, (results, result.id, 42))
        later.start()

        began = time.monotonic()
        assert result.get(timeout=5) == 42
        assert time.monotonic() - began < 2
        later.join()


def test_results_of_a_group_arrive_some_before_and_some_while_they_are_waited_for(
    app: Celery, results: Valkey
) -> None:
    answer = app.tasks["answer"]
    both = group([answer.s(), answer.s()], app=app).apply_async()
    early, late = both.results
    _store(results, early.id, 1)
    later = threading.Timer(0.5, _store, (results, late.id, 2))
    later.start()

    assert both.get(timeout=5) == [1, 2]
    later.join()


def test_each_threads_backend_is_as_the_first(fleet: TinyFleet, app: Celery, results: Valkey) -> None:
    results.pause()
    took: list[float] = []

    def publish() -> None:
        began = time.monotonic()
        app.tasks["answer"].delay()
        took.append(time.monotonic() - began)

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(took) == 4
    assert max(took) < 1
    results.resume()


def test_a_backend_that_was_there_before_install_takes_no_part_either(results: Valkey) -> None:
    from taskfleet import install

    app = Celery("early", backend=results.url, set_as_current=False)
    before = app.backend
    results.pause()

    install(app).backend.on_task_call(None, "a-task")

    assert app.backend is before
    results.resume()


def test_a_publish_that_is_refused_for_its_id_disturbs_no_later_wait(app: Celery, results: Valkey) -> None:
    with pytest.raises(InvalidTask):
        app.tasks["answer"].apply_async(task_id=4711)
    result = app.tasks["answer"].delay()
    _store(results, result.id, 1)

    assert result.get(timeout=5) == 1


def test_results_over_the_broker_are_refused(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.conf.result_backend = "rpc://"

    with pytest.raises(SettingsError, match="rpc:// answers in a queue of one broker"):
        app.send_task("anything")
    app.send_task("anything", ignore_result=True)

    assert fleet.waiting("low", "r1") == 1
