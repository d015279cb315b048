"""`fleet pipelines`: what is said of items on their way, and what a person may do to them."""

from __future__ import annotations

import pytest
from taskfleet.tools.pipelines import PipelineItems, place

from tests.taskfleet.cli.conftest import Fleet

ITEM = "etl/account-7/2026-01-31"


@pytest.fixture
def items(up: Fleet) -> PipelineItems:
    found = PipelineItems(up.account.dynamodb, up.account.name)
    stages = ("shop.extract", "shop.load")
    for item in (ITEM, "etl/account-7/2026-02-01", "etl/account-8/2026-01-31"):
        found.create(item, stages[0], "low", place(stages, 1))
    run = found.read(ITEM)
    assert run is not None
    found.advance(run, place(stages, 2), stages[1], "high")
    found.has_problem(ITEM, "ValueError('no')")
    return found


def test_instances_and_their_items_are_shown(up: Fleet, items: PipelineItems) -> None:
    _, first, second = up.run("pipelines", "list").output.splitlines()
    assert first.split()[:7] == ["etl/account-7", "2", "shop.extract", "1,", "shop.load", "1", "1"]
    assert second.split()[:5] == ["etl/account-8", "1", "shop.extract", "1", "0"]
    _, item, _ = up.run("pipelines", "show", "etl/account-7").output.splitlines()
    assert item.split()[:6] == [ITEM, "shop.load", "running", "1", "of", "2"]
    assert item.endswith("ValueError('no')")
    assert up.json("pipelines", "show", ITEM)["items"][0]["queue"] == "high"
    unknown = up.run("pipelines", "show", "etl/account-9")
    assert unknown.exit_code == 1
    assert "there is no item" in unknown.output


def test_an_item_is_paused_and_cancelled(up: Fleet, items: PipelineItems) -> None:
    paused = up.run("pipelines", "pause", ITEM, "--yes").output
    assert f"item {ITEM} of shop.load: running -> paused" in paused
    assert f"undo: fleet pipelines resume {ITEM} --yes" in paused
    up.run("pipelines", "cancel", ITEM, "--yes")
    assert "is cancelled already, after 1 steps" in up.run("pipelines", "resume", ITEM, "--yes").output
    assert [run.id for run in items.of("etl/account-7")] == ["etl/account-7/2026-02-01"]
