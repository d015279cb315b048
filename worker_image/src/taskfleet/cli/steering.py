"""`pause`, `resume` and `cancel` of what goes on step by step: runs in chunks, items of pipelines."""

from __future__ import annotations

from collections.abc import Callable

import click

from taskfleet.cli.dry_run import say, yes
from taskfleet.cli.operator import Operator, asks
from taskfleet.errors import TaskfleetError
from taskfleet.tools.runs import Runs, State


def add_steering(
    group: click.Group, noun: str, runs: Callable[[Operator], Runs], *, pauses: str, ends: str
) -> None:
    """Give ``group`` the three commands; ``pauses`` and ``ends`` say when each takes effect."""
    what = noun.upper()

    def add(name: str, state: State, help: str, undo: str | None = None) -> None:
        @group.command(name, help=help)
        @click.argument("id", metavar=what)
        @yes
        @asks
        def command(operator: Operator, id: str, yes: bool) -> None:
            back = f"fleet {group.name} {undo} {id} --yes" if undo else None
            _become(operator, runs(operator), noun, id, state, yes=yes, undo=back)

    add("pause", State.PAUSED, f"Pause {what} {pauses}", undo="resume")
    add("resume", State.RUNNING, f"Let a paused {what} go on, within some ten seconds.", undo="pause")
    add("cancel", State.CANCELLED, f"End {what} {ends} It can't be resumed.")


def _become(
    operator: Operator, runs: Runs, noun: str, id: str, state: State, *, yes: bool, undo: str | None
) -> None:
    run = runs.read(id)
    if run is None:
        raise TaskfleetError(f"there is no {noun} {id!r}: the `list` command has those that have not ended")
    if run.state in (State.DONE, State.CANCELLED):
        raise TaskfleetError(f"{noun} {id} is {run.state} already, after {run.step} steps")
    if yes and not runs.become(id, state):
        raise TaskfleetError(f"{noun} {id} ended just now")
    say(operator, done=yes, steps=[f"{noun} {id} of {run.task}: {run.state} -> {state}"], undo=undo)
