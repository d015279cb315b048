"""`fleet pipelines`: where each pipeline's items are, and what stopped them (`taskfleet.tools.pipelines`)."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict

import click

from taskfleet.cli.operator import Operator, asks
from taskfleet.cli.output import duration, show, show_json, table
from taskfleet.cli.steering import add_steering
from taskfleet.errors import TaskfleetError
from taskfleet.tools.pipelines import PipelineItems
from taskfleet.tools.runs import Run, State

_HEAD = ("pipeline", "items", "at", "with a problem", "oldest")
_ITEMS = ("item", "stage", "state", "done", "last change", "problem")


@click.group()
def pipelines() -> None:
    """Pipelines: how far their items are; pause, resume, cancel an item."""


@pipelines.command("list")
@asks
def list_pipelines(operator: Operator) -> None:
    """List the instances of pipelines that have items on their way."""
    items = _items(operator)
    found = {instance: list(items.of(instance)) for instance in items.instances()}
    if operator.json:
        show_json(
            {"pipelines": {name: [asdict(run) for run in runs] for name, runs in found.items() if runs}}
        )
        return
    rows = [_row(instance, runs, time.time()) for instance, runs in found.items() if runs]
    show(table(_HEAD, rows, indent="") if rows else ["no item is in a pipeline"])


@pipelines.command("show")
@click.argument("what")
@asks
def show_items(operator: Operator, what: str) -> None:
    """Show the items of PIPELINE/INSTANCE that are on their way, or one item, also if it has ended.

    An item whose stage failed for good has a dead letter (`fleet dead list`); redriven, it goes on there.
    """
    items = _items(operator)
    one = items.read(what) if what.count("/") >= 2 else None
    found = [one] if one else list(items.of(what))
    if not found:
        raise TaskfleetError(f"there is no item {what!r}: `fleet pipelines list` has what is on its way")
    if operator.json:
        show_json({"items": [asdict(run) for run in found]})
        return
    show(table(_ITEMS, [_item(run, time.time()) for run in found], indent=""))


def _items(operator: Operator) -> PipelineItems:
    return PipelineItems(operator.client("dynamodb"), operator.environment)


def _row(instance: str, runs: list[Run], now: float) -> tuple[str, ...]:
    at = Counter(run.task for run in runs)
    stages = [stage for stage in runs[0].place["stages"] if at[stage]]
    where = ", ".join(f"{stage} {at[stage]}" for stage in stages)
    problems = sum(bool(run.problem) for run in runs)
    oldest = duration(now - min(run.begun_at for run in runs))
    return (instance, str(len(runs)), where, str(problems), oldest)


def _item(run: Run, now: float) -> tuple[str, ...]:
    stages = len(run.place["stages"])
    done = stages if run.state is State.DONE else run.step
    age = f"{duration(now - run.at)} ago"
    return (run.id, run.task, run.state, f"{done} of {stages}", age, run.problem or "-")


add_steering(
    pipelines,
    "item",
    _items,
    pauses="after the stage that it is in.",
    ends="after the stage that it is in.",
)
