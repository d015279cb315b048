"""`fleet schedule etas`: tasks that wait for a far ETA; list them, read one, cancel one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from taskfleet.cli.dry_run import say, yes
from taskfleet.cli.operator import Operator, asks
from taskfleet.cli.output import duration, show, show_json, table
from taskfleet.contract.etas import LEAD_SECONDS, LOOK_SECONDS
from taskfleet.errors import TaskfleetError
from taskfleet.etas.eta import Binding, Eta, Heading
from taskfleet.etas.store import Waiting

_HEAD = ("task id", "due", "in", "task", "queue", "goes to")


@click.group()
def etas() -> None:
    """Tasks with a far ETA, which wait outside the queues until they are due."""


@etas.command("list")
@click.option("--task", help="Only those of this task.")
@click.option("--queue", help="Only those of this logical queue.")
@click.option("--within", "hours", type=click.FloatRange(min=0), help="Only those due within so many hours.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
@asks
def list_etas(
    operator: Operator, task: str | None, queue: str | None, hours: float | None, limit: int
) -> None:
    """List them, the next that is due first. DynamoDB charges for reading all that wait."""
    now = time.time()
    until = None if hours is None else now + 3600 * hours
    found = [
        each
        for each in operator.etas.waiting(until=until)
        if task in (None, each.task) and queue in (None, each.queue)
    ]
    shown = found[:limit]
    if operator.json:
        show_json({"etas": [asdict(each) for each in shown], "found": len(found)})
        return
    show(table(_HEAD, [_row(each, now) for each in shown], indent="") if shown else ["none waits"])
    if len(found) > limit:
        show([f"{Waiting(len(found) - limit, True)} more: --limit {len(found)}"])


@etas.command("show")
@click.argument("task_id", metavar="ID")
@asks
def show_eta(operator: Operator, task_id: str) -> None:
    """Show everything that is known of the task with this id."""
    found = _found(operator, task_id)
    if operator.json:
        show_json({"etas": [asdict(each) for each in found]})
        return
    for each in found:
        show(list(_page(each, time.time())))


@etas.command("cancel")
@click.argument("task_id", metavar="ID")
@yes
@asks
def cancel_eta(operator: Operator, task_id: str, yes: bool) -> None:
    """Delete the task with this id: it will not run. Whoever waits for its result is not told.

    `app.control.revoke(ID)` does tell, when the task is due: its state is REVOKED then.
    """
    steps = []
    for each in _found(operator, task_id):
        was = operator.etas.forget(each) if yes else True
        steps.append(f"delete {_name(each)}, due {_moment(each.due)}" if was else f"{_name(each)} was sent")
        if each.due - time.time() < LEAD_SECONDS + LOOK_SECONDS:
            steps.append("it may be on its way to a queue by now; revoke it as well")
    say(operator, done=yes, steps=steps)


def _found(operator: Operator, task_id: str) -> list[Eta]:
    found = operator.etas.find(task_id)
    if not found:
        raise TaskfleetError(
            f"no task {task_id!r} waits for a far ETA: `fleet schedule etas list` has their ids. One that is "
            "due within a minute was sent to its queue already"
        )
    return found


def _row(each: Heading, now: float) -> tuple[str, ...]:
    ahead = each.due - now
    left = duration(ahead) if ahead >= 0 else f"{duration(-ahead)} late"
    return (each.id, _moment(each.due), left, each.task, each.queue, _goes_to(each))


def _goes_to(each: Heading) -> str:
    if each.binding is Binding.CURRENT:
        return "the current release"
    return f"{each.release}{' only' if each.binding is Binding.PINNED else ', or the current release'}"


def _page(each: Eta, now: float) -> Iterator[str]:
    shown: Any = (each.headers.get("argsrepr"), each.headers.get("kwargsrepr"))
    yield f"task       {_name(each)}"
    yield f"due        {_moment(each.due)}, in {duration(each.due - now)}"
    yield f"queue      {each.queue}, of {_goes_to(each)}"
    yield f"published  {_moment(each.at)}, {duration(now - each.at)} ago"
    yield f"origin     {each.headers.get('origin') or '-'}"
    yield f"arguments  {' '.join(str(one) for one in shown if one) or '-'}"
    yield f"message    {len(each.body.encode())} bytes"


def _name(each: Heading) -> str:
    return f"{each.task} ({each.id})"


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
