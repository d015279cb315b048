"""`fleet dead`: what could not be run; list it, read it, send it again, delete it."""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any, TypeVar

import click

from taskfleet.cli.dry_run import say, yes
from taskfleet.cli.operator import Operator, asks
from taskfleet.cli.output import duration, show, show_json, table
from taskfleet.dead_letters.dead_letter import DeadLetter, DeadLetterKind, Heading
from taskfleet.dead_letters.store import DeadLetters, position
from taskfleet.errors import TaskfleetError

F = TypeVar("F", bound=Callable[..., Any])
_HEAD = ("id", "queue", "task", "kind", "age", "release", "reason")
_REASON_CHARACTERS = 60


@click.group()
def dead() -> None:
    """Dead letters: what could not be run. They are kept for 14 days."""


def filters(command: F) -> F:
    """Give a command ``--queue``, ``--task`` and ``--kind``."""
    for option in (
        click.option(
            "--kind",
            type=click.Choice([kind.value for kind in DeadLetterKind]),
            help="Only those put aside for this.",
        ),
        click.option("--task", help="Only those of this task."),
        click.option("--queue", help="Only those of this logical queue."),
    ):
        command = option(command)
    return command


def letters(operator: Operator) -> DeadLetters:
    """The environment's store."""
    return DeadLetters(operator.client("dynamodb"), operator.environment)


def headings(operator: Operator, queue: str | None, **which: Any) -> Iterator[Heading]:
    """The letters that a filter lets through, the newest first, of the queues that any release has had."""
    records = operator.store.scan().records.values()
    known = sorted({name for record in records for name in record.manifest.queues})
    if queue is not None and queue not in known:
        raise TaskfleetError(
            f"no release has had a queue {queue!r}: one of {', '.join(known) or '(none yet)'}"
        )
    return letters(operator).headings([queue] if queue else known, **which)


@dead.command("list")
@filters
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@click.option("--before", metavar="PLACE", help="Go on where a list ended: it says so in its last line.")
@asks
def list_letters(
    operator: Operator, queue: str | None, task: str | None, kind: str | None, limit: int, before: str | None
) -> None:
    """List dead letters, the newest first."""
    wanted = DeadLetterKind(kind) if kind else None
    found = list(islice(headings(operator, queue, task=task, kind=wanted, before=before), limit + 1))
    shown, more = found[:limit], len(found) > limit
    following = position(shown[-1]) if more else None
    if operator.json:
        show_json({"letters": [asdict(each) for each in shown], "before": following})
        return
    if not shown:
        show(["no dead letters"])
        return
    now = time.time()
    show(table(_HEAD, [_row(each, now) for each in shown], indent=""))
    if following:
        show([f"there are more: --before '{following}'"])


@dead.command("show")
@click.argument("letter_id", metavar="ID")
@asks
def show_letter(operator: Operator, letter_id: str) -> None:
    """Show everything that is known of a dead letter."""
    letter = letters(operator).get(letter_id)
    if letter is None:
        raise TaskfleetError(f"there is no dead letter {letter_id!r}: `fleet dead list` has their ids")
    show_json(as_json(letter)) if operator.json else show(list(_page(letter)))


@dead.command("delete")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that the filters let through.")
@filters
@yes
@asks
def delete_letters(
    operator: Operator,
    ids: tuple[str, ...],
    everything: bool,
    queue: str | None,
    task: str | None,
    kind: str | None,
    yes: bool,
) -> None:
    """Delete dead letters for good. One that is gone already is fine.

    With --all, how many of each queue, task and kind are deleted is printed.
    """
    if bool(ids) == everything or (ids and (queue or task or kind)):
        raise click.UsageError("give the ids of letters, or --all with or without filters")
    if everything:
        wanted = DeadLetterKind(kind) if kind else None
        steps = _delete_all(operator, headings(operator, queue, task=task, kind=wanted), delete=yes)
    else:
        store = letters(operator)
        there = {one: store.delete(one) if yes else store.get(one) is not None for one in ids}
        steps = [
            f"{one}: {'deleted' if was else 'is not there, nothing to do'}" for one, was in there.items()
        ]
    say(operator, done=yes, steps=steps)


def _delete_all(operator: Operator, found: Iterator[Heading], *, delete: bool) -> list[str]:
    store, counts = letters(operator), Counter[tuple[str, str, str]]()
    for each in found:
        if not delete or store.delete(each.id):
            counts[(each.queue, each.task or "-", str(each.kind))] += 1
    lines = [
        f"{count} of task {task} in queue {queue}, {kind}: deleted"
        for (queue, task, kind), count in sorted(counts.items())
    ]
    return lines or ["no dead letters: nothing to do"]


def as_json(letter: DeadLetter) -> dict[str, Any]:
    """A letter for scripts."""
    content = asdict(letter)
    body = content["message"].pop("body")
    content["message"]["body_base64"] = base64.b64encode(body).decode()
    return content


def _row(heading: Heading, now: float) -> tuple[str, ...]:
    reason = " ".join(heading.reason.split())
    short = reason if len(reason) <= _REASON_CHARACTERS else reason[: _REASON_CHARACTERS - 1] + "…"
    return (
        heading.id,
        heading.queue,
        heading.task or "-",
        str(heading.kind),
        duration(now - heading.at),
        heading.release or "-",
        short,
    )


def _page(letter: DeadLetter) -> Iterator[str]:
    yield f"letter     {letter.id}, put aside {duration(time.time() - letter.at)} ago"
    yield f"why        {letter.kind}: {letter.reason}"
    yield f"task       {letter.task or '-'} ({letter.task_id or 'no id'})"
    yield f"queue      {letter.queue}"
    yield f"put aside  by pool {letter.pool or '-'} of release {letter.release or '-'}"
    yield f"origin     {letter.message.headers.get('origin') or '-'}"
    yield f"arguments  {letter.args or '-'}"
    yield f"message    {letter.message.content_type or 'no content type'}, {len(letter.message.body)} bytes"
    if letter.exception:
        yield f"exception  {letter.exception}"
    if letter.traceback:
        yield from ("", letter.traceback.rstrip())
