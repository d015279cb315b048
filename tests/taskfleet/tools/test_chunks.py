"""Chunked runs on real workers: each chunk once, though processes die; paced, paused and cancelled."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from celery import Celery
from taskfleet import aws
from taskfleet.contract import environment as env
from taskfleet.publishing.publisher import force_broker
from taskfleet.tools import chunks, cursor, integers, start
from taskfleet.tools.runs import Runs, State
from taskfleet.tools.steps import publish

from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet.tools import tasks

PAGE = Path(__file__).parents[3] / "docs" / "toolkit.md"
WORDS = ("no", "one", "two", "three", "four", "five", "six")


@pytest.fixture
def app(fleet: TinyFleet) -> Celery:
    tasks.app.taskfleet.bind(fleet.settings())
    return tasks.app


@pytest.fixture
def runs(fleet: TinyFleet) -> Runs:
    return Runs(fleet.aws.client("dynamodb"), fleet.name)


def state(runs: Runs, run: str) -> State | None:
    found = runs.read(run)
    return found.state if found else None


def worker(fleet: TinyFleet, **more: str) -> None:
    fleet.start_worker("r1", **{env.APP.name: "tests.taskfleet.tools.tasks:app", **more})


@pytest.mark.parametrize("broker", [env.PRIMARY, env.FALLBACK])
def test_every_integer_is_worked_on_though_the_process_is_killed_in_a_chunk(
    fleet: TinyFleet, app: Celery, runs: Runs, tmp_path: Path, broker: str
) -> None:
    worker(fleet, **{env.BROKER.name: broker, tasks.KILLED: str(tmp_path / "killed")})
    if broker == env.FALLBACK:
        fleet.valkey.kill()
    run = start(tasks.counts, integers(1, 55, size=10), run="all")
    wait_for(lambda: state(runs, run) is State.DONE, seconds=60, what="the end of the run")
    wait_for(lambda: len({line["n"] for line in fleet.events("small")}) == 55, seconds=60, what="all tasks")
    assert (tmp_path / "killed").exists()
    keys = {(line["n"], line["key"]) for line in fleet.events("small")}
    assert len(keys) == 55, "what a chunk publishes has one key, however often the chunk runs"
    assert list(runs.listed()) == []


def test_a_cursor_leads_to_its_end_and_a_second_start_begins_no_second_run(
    fleet: TinyFleet, app: Celery, runs: Runs
) -> None:
    run = start(tasks.pages, cursor(0), run="pages")
    assert start(tasks.pages, cursor(0), run="pages") == run
    worker(fleet)
    wait_for(lambda: state(runs, run) is State.DONE, seconds=60, what="the end of the run")
    assert [line["after"] for line in fleet.events("page")] == [0, 10, 20, 30]


def test_a_duplicate_of_a_step_does_not_fork_the_run(fleet: TinyFleet, app: Celery, runs: Runs) -> None:
    run = start(tasks.pages, cursor(0), run="pages")
    for broker in (env.PRIMARY, env.PRIMARY, env.FALLBACK):
        with force_broker(broker):
            tasks.pages.apply_async((run, 0), task_id=f"{run}-0")
    worker(fleet)
    worker(fleet, **{env.BROKER.name: env.FALLBACK})
    wait_for(lambda: state(runs, run) is State.DONE, seconds=60, what="the end of the run")
    wait_for(
        lambda: fleet.waiting("low", "r1") + fleet.waiting_on_sqs("low", "r1") == 0, what="no message left"
    )
    assert [line["after"] for line in fleet.events("page")] == [0, 10, 20, 30]


def test_it_waits_while_the_queue_that_it_feeds_is_deep(fleet: TinyFleet, app: Celery, runs: Runs) -> None:
    worker(fleet)
    run = start(tasks.paced, integers(1, 100, size=2))
    wait_for(lambda: fleet.waiting("etl", "r1") >= 3, seconds=60, what="a deep queue")
    wait_for(lambda: _step(runs, run) == 2, seconds=60, what="two chunks")
    fleet.valkey.client().delete("etl.r1")  # somebody worked on them
    wait_for(lambda: _step(runs, run) == 4, seconds=60, what="two more")
    assert fleet.waiting("etl", "r1") == 4


def _step(runs: Runs, run: str) -> int:
    found = runs.read(run)
    return found.step if found else -1


def test_a_paused_run_goes_on_and_a_cancelled_one_does_not(fleet: TinyFleet, app: Celery, runs: Runs) -> None:
    first, second = start(tasks.pages, cursor(0), run="first"), start(tasks.pages, cursor(0), run="second")
    assert runs.become(first, State.PAUSED)
    assert runs.become(second, State.CANCELLED)
    assert [run.id for run in runs.listed()] == ["first"]
    worker(fleet)
    wait_for(lambda: fleet.waiting("low", "r1") == 0, what="both messages")
    assert list(fleet.events("page")) == []
    assert runs.become(first, State.RUNNING)
    wait_for(lambda: state(runs, first) is State.DONE, seconds=60, what="the end of the run")
    assert len(list(fleet.events("page"))) == 4
    assert not runs.become(second, State.RUNNING)
    assert not runs.become(first, State.PAUSED)


def test_a_run_goes_on_on_the_current_release(fleet: TinyFleet, app: Celery, runs: Runs) -> None:
    start(tasks.pages, cursor(0), run="pages")
    assert fleet.waiting("low", "r1") == 1
    fleet.deploy("r2")
    fleet.promote("r2")
    app.taskfleet.bind(fleet.settings(pinned_release="r1"))  # as a worker of r1 is
    run = runs.read("pages")
    assert run is not None
    publish(app, runs, run)
    assert fleet.waiting("low", "r2") == 1


def test_a_chunk_costs_what_the_documentation_says(fleet: TinyFleet, app: Celery, runs: Runs) -> None:
    calls: Counter[str] = Counter()
    client = aws.client("dynamodb")
    run = start(tasks.pages, cursor(0), run="pages")
    client.meta.events.register(
        "provide-client-params.dynamodb.*", lambda model, **_: calls.update([model.name])
    )
    options = chunks._Options(0.0, None, None, lease_seconds=30.0)
    chunks._Chunk(tasks.pages, lambda after: after + 10, run, 0, options).take()
    reads, writes = calls["GetItem"], calls["PutItem"] + calls["UpdateItem"]
    assert f"for each chunk {WORDS[reads]} reads and {WORDS[writes]} writes of DynamoDB" in PAGE.read_text()
    assert reads + writes == calls.total()


def test_a_run_over_nothing_is_done_at_once(fleet: TinyFleet, app: Celery, runs: Runs) -> None:
    assert state(runs, start(tasks.counts, integers(2, 1, size=10))) is State.DONE
    assert fleet.waiting("low", "r1") == 0
