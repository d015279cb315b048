"""`fleet chunks`: long runs in chunks (`taskfleet.tools.chunks`): where they are; pause, resume, cancel."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from taskfleet.cli.operator import Operator, asks
from taskfleet.cli.output import duration, show, show_json, table
from taskfleet.cli.steering import add_steering
from taskfleet.tools.runs import Run, Runs

_HEAD = ("run", "task", "queue", "state", "chunks done", "next", "last change", "problem")


@click.group()
def chunks() -> None:
    """Chunked runs: list, pause, resume, cancel."""


@chunks.command("list")
@asks
def list_runs(operator: Operator) -> None:
    """List the runs that have not ended."""
    found = list(_runs(operator).listed())
    if operator.json:
        show_json({"runs": [asdict(run) for run in found]})
        return
    show(
        table(_HEAD, [_row(run, time.time()) for run in found], indent="") if found else ["no run in chunks"]
    )


def _runs(operator: Operator) -> Runs:
    return Runs(operator.client("dynamodb"), operator.environment)


def _row(run: Run, now: float) -> tuple[str, ...]:
    following = str(run.place.get("at"))
    age = f"{duration(now - run.at)} ago"
    return (run.id, run.task, run.queue, run.state, str(run.step), following, age, run.problem or "-")


add_steering(
    chunks,
    "run",
    _runs,
    pauses="after the chunk that it is at. Its messages wait.",
    ends="after the chunk that it is at; what it has published runs.",
)
