"""What Celery publishes on a task's behalf while no broker answers: nothing of it is lost.

One outage for all of them: a worker's tasks are about to end, then neither Redis nor SQS takes a message.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from celery import Celery, chain, chord, group
from taskfleet.contract import environment as env
from taskfleet.dead_letters.dead_letter import DeadLetter, DeadLetterKind

from tests.support.processes import free_port, wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.support.valkey import Valkey
from tests.taskfleet import behalf_tasks as tasks

BEGUN_TASKS = 10


@pytest.fixture
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A result backend, which stays well."""
    server = Valkey(tmp_path_factory.mktemp("results"))
    server.start()
    yield server
    server.stop()


def start_worker(fleet: TinyFleet, backend: str, execution: str) -> None:
    fleet.start_worker(
        "r1",
        **{
            env.APP.name: "tests.taskfleet.behalf_tasks:app",
            env.EXECUTION.name: execution,
            env.CONCURRENCY.name: "11",
            tasks.BACKEND: backend,
            # SQS is away from the beginning; the dead-letter store is not.
            "AWS_ENDPOINT_URL_SQS": f"http://localhost:{free_port()}",
        },
    )


def producer(fleet: TinyFleet, backend: str) -> Celery:
    app = fleet.app()
    app.conf.result_backend = backend
    return app


def letters(fleet: TinyFleet) -> dict[str, DeadLetter]:
    found = [fleet.store.get(heading.id) for heading in fleet.store.headings(["low"])]
    return {letter.task or "": letter for letter in found if letter is not None}


def begun(fleet: TinyFleet) -> int:
    return len(list(fleet.events("began")))


def open_gate(fleet: TinyFleet) -> None:
    (fleet.journal / "gate").touch()


def test_what_a_broker_took_in_the_end_has_no_dead_letter(fleet: TinyFleet, results: Valkey) -> None:
    app = producer(fleet, results.url)
    app.signature("behalf.waits-and-fails", (1,)).apply_async(link_error=app.signature("behalf.on-error"))
    start_worker(fleet, results.url, "threads")
    wait_for(lambda: begun(fleet) >= 1, seconds=60, what="the task")

    fleet.valkey.pause()
    fleet.aws.pause()
    try:
        open_gate(fleet)
        # The store answers too late: it does what it was asked once it goes on.
        time.sleep(10)
        fleet.valkey.resume()
        wait_for(lambda: fleet.executed("on-error"), seconds=60, what="the error callback")
        time.sleep(5)  # so long a call of the store may last
    finally:
        fleet.aws.resume()
    wait_for(lambda: "behalf.waits-and-fails" in letters(fleet), seconds=60, what="the failure's letter")
    assert set(letters(fleet)) == {"behalf.waits-and-fails"}
    assert len(fleet.executed("on-error")) == 1


@pytest.mark.parametrize("execution", ["prefork", "threads", "gevent"])
def test_nothing_is_lost_that_is_published_as_tasks_end(
    fleet: TinyFleet, results: Valkey, execution: str
) -> None:
    app = producer(fleet, results.url)
    waits, body = app.signature("behalf.waits"), app.signature("behalf.body")
    on_error = app.signature("behalf.on-error")
    chord([waits.clone((1,)), waits.clone((2,))], app=app)(body.clone(kwargs={"run": "chord"}))
    waits.clone((10,)).apply_async(link=body.clone(kwargs={"run": "link"}))
    links = [body.clone(kwargs={"run": f"links-{each}"}) for each in "ab"]
    waits.clone((20,)).apply_async(link=links)
    chain(waits.clone((30,)), body.clone(kwargs={"run": "chain"}), app=app).apply_async()
    waits.clone((40,)).apply_async(link=group([body.clone(kwargs={"run": "group"})], app=app))
    app.signature("behalf.waits-and-fails", (50,)).apply_async(link_error=on_error)
    app.signature("behalf.waits-and-is-large", (60,)).apply_async(
        link=body.clone(kwargs={"run": "y" * 200_000})
    )
    app.signature("behalf.waits-and-is-replaced", (70,)).apply_async()
    chord([app.signature("behalf.waits-and-adds", (80,))], app=app)(body.clone(kwargs={"run": "added"}))
    start_worker(fleet, results.url, execution)
    wait_for(lambda: begun(fleet) >= BEGUN_TASKS, seconds=60, what="all tasks")

    fleet.valkey.pause()
    open_gate(fleet)
    wait_for(
        lambda: {"behalf.body", "behalf.on-error"} <= set(letters(fleet)), seconds=30, what="the letters"
    )
    fleet.valkey.resume()

    for run in ("link", "links-a", "links-b", "chain", "group", "replacement"):
        wait_for(lambda run=run: fleet.executed(run), seconds=60, what=run)  # type: ignore[misc]
    kept = letters(fleet)
    assert kept["behalf.body"].kind is DeadLetterKind.UNPUBLISHED
    assert kept["behalf.body"].message.body.startswith(b'[[[1, 2]], {"run": "chord"}')
    assert kept["behalf.on-error"].kind is DeadLetterKind.UNPUBLISHED
    assert kept["behalf.waits-and-fails"].kind is DeadLetterKind.FAILED
    assert "KeyError" in kept["behalf.waits-and-fails"].reason
    assert "bytes" in kept["behalf.waits-and-is-large"].reason
    assert set(kept) == {
        "behalf.body",
        "behalf.on-error",
        "behalf.waits-and-fails",
        "behalf.waits-and-is-large",
        "behalf.quiet",
    }
    assert not fleet.executed("added")  # until the letter of the task that it waits for is sent again
    assert app.AsyncResult(kept["behalf.body"].task_id).state == "FAILURE"
