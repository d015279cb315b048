"""`fleet chunks`: long runs in chunks (`taskfleet.tools.chunks`): where they are; pause, resume, cancel."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from taskfleet.cli.moves import say, yes
from taskfleet.cli.operator import Operator, asks
from taskfleet.cli.output import duration, show, show_json, table
from taskfleet.errors import TaskfleetError
from taskfleet.tools.runs import Run, Runs, State

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


@chunks.command()
@click.argument("run")
@yes
@asks
def pause(operator: Operator, run: str, yes: bool) -> None:
    """Pause RUN after the chunk that it is at. Its messages wait."""
    become(
        operator, _runs(operator), "run", run, State.PAUSED, yes=yes, undo=f"fleet chunks resume {run} --yes"
    )


@chunks.command()
@click.argument("run")
@yes
@asks
def resume(operator: Operator, run: str, yes: bool) -> None:
    """Let a paused RUN go on, within some ten seconds."""
    become(
        operator, _runs(operator), "run", run, State.RUNNING, yes=yes, undo=f"fleet chunks pause {run} --yes"
    )


@chunks.command()
@click.argument("run")
@yes
@asks
def cancel(operator: Operator, run: str, yes: bool) -> None:
    """End RUN after the chunk that it is at; what it has published runs. It can't be resumed."""
    become(operator, _runs(operator), "run", run, State.CANCELLED, yes=yes, undo=None)


def _runs(operator: Operator) -> Runs:
    return Runs(operator.client("dynamodb"), operator.environment)


def _row(run: Run, now: float) -> tuple[str, ...]:
    following = str(run.place.get("at"))
    age = f"{duration(now - run.at)} ago"
    return (run.id, run.task, run.queue, run.state, str(run.step), following, age, run.problem or "-")


def become(
    operator: Operator, runs: Runs, what: str, id: str, state: State, *, yes: bool, undo: str | None
) -> None:
    """Change the state of a run, of the kind ``what``, that has not ended."""
    run = runs.read(id)
    if run is None:
        raise TaskfleetError(f"there is no {what} {id!r}: the `list` command has those that have not ended")
    if run.state in (State.DONE, State.CANCELLED):
        raise TaskfleetError(f"{what} {id} is {run.state} already, after {run.step} steps")
    if yes and not runs.become(id, state):
        raise TaskfleetError(f"{what} {id} ended just now")
    say(operator, done=yes, steps=[f"{what} {id} of {run.task}: {run.state} -> {state}"], undo=undo)
