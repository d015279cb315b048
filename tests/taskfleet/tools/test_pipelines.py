"""Pipelines on real workers: each item through each stage, though processes die; one that fails stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from taskfleet.contract import environment as env
from taskfleet.errors import TaskfleetError
from taskfleet.publishing.publisher import force_broker
from taskfleet.tools import Pipeline
from taskfleet.tools.pipelines import MOST_BYTES, PipelineItems, place
from taskfleet.tools.runs import State

from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet.tools import tasks

STAGES = ["extract", "transform", "load"]


@pytest.fixture
def app(fleet: TinyFleet) -> Celery:
    tasks.app.taskfleet.bind(fleet.settings())
    return tasks.app


@pytest.fixture
def items(fleet: TinyFleet) -> PipelineItems:
    return PipelineItems(fleet.aws.client("dynamodb"), fleet.name)


def state(items: PipelineItems, item: str) -> State | None:
    found = items.read(item)
    return found.state if found else None


def stages(fleet: TinyFleet, n: int) -> list[str]:
    return [line["name"] for line in fleet.events("stage") if line["n"] == n]


@pytest.mark.parametrize("broker", [env.PRIMARY, env.FALLBACK])
def test_an_item_goes_through_each_stage_though_a_process_is_killed_and_one_that_fails_stays(
    fleet: TinyFleet, app: Celery, items: PipelineItems, tmp_path: Path, broker: str
) -> None:
    common = {env.APP.name: "tests.taskfleet.tools.tasks:app", env.BROKER.name: broker}
    fleet.start_worker("r1", "high,etl,low", **common)
    if broker == env.FALLBACK:
        fleet.valkey.kill()
    fails = tmp_path / "fails"
    fails.touch()
    ids = [
        tasks.etl.enter("account-7", f"item-{n}", {"n": n, **more}, app=app)
        for n, more in enumerate(({}, {"kills": str(tmp_path / "killed")}, {"fails": str(fails)}))
    ]
    assert tasks.etl.enter("account-7", "item-0", {"n": 0}, app=app) == ids[0], "no second one"
    wait_for(
        lambda: [state(items, id) for id in ids[:2]] == [State.DONE] * 2, seconds=60, what="the first two"
    )
    assert (tmp_path / "killed").exists()
    assert [sorted(set(stages(fleet, n)), key=STAGES.index) for n in (0, 1)] == [STAGES] * 2
    assert stages(fleet, 0) == STAGES
    wait_for(lambda: fleet.dead_letters("low") == 1, seconds=60, what="the one that failed")
    (left,) = items.of("etl/account-7")
    assert (left.id, left.task, left.step) == (ids[2], "tools.transform", 1)
    assert "the bank says no" in left.problem
    assert items.instances() == ["etl/account-7"]
    fails.unlink()
    with force_broker(broker):  # as its dead letter is redriven
        app.send_task("tools.transform", (left.id, left.step), queue="low.r1", task_id=f"{left.id}-1")
    wait_for(lambda: state(items, ids[2]) is State.DONE, seconds=60, what="the rest of its stages")
    assert stages(fleet, 2) == STAGES
    assert list(items.of("etl/account-7")) == []


def test_what_is_no_reference_is_refused(app: Celery) -> None:
    with pytest.raises(TaskfleetError, match="pass its key"):
        place(("a", "b"), "x" * MOST_BYTES)
    with pytest.raises(TaskfleetError, match="a reference is JSON"):
        place(("a", "b"), object())


@pytest.mark.parametrize(("name", "named"), [("a/b", ("x", "y")), ("a", ("x",)), ("a", ("x", "x"))])
def test_what_is_no_pipeline_is_refused(name: str, named: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="two tasks or more, each once"):
        Pipeline(name, *named)


def test_a_task_that_there_is_not_and_a_plain_call_are_refused() -> None:
    with pytest.raises(TaskfleetError, match=r"there is no task 'no\.such'"):
        Pipeline("a", "tools.extract", "no.such").enter("b", "c", 1, app=tasks.app)
    with pytest.raises(TaskfleetError, match="let items in with enter"):
        tasks.extract("item", 0)
