"""`fleet dead redrive`: send dead letters again, to the current release."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import click

from taskfleet.cli.dead import filters, headings, letters
from taskfleet.cli.dry_run import yes
from taskfleet.cli.operator import Operator, asks
from taskfleet.cli.output import show, show_json
from taskfleet.contract.environment import FALLBACK
from taskfleet.dead_letters.dead_letter import DeadLetter, DeadLetterKind
from taskfleet.dead_letters.redriving import Redrive
from taskfleet.errors import DeadLetterError
from taskfleet.releases.commands import find

_SAY_EVERY = 100


@dataclass
class _Result:
    done: bool
    release: str
    redriven: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that the filters let through.")
@filters
@click.option(
    "--per-second",
    type=click.FloatRange(min=0, min_open=True),
    default=10,
    show_default=True,
    help="No faster than this.",
)
@yes
@asks
def redrive(
    operator: Operator,
    ids: tuple[str, ...],
    everything: bool,
    queue: str | None,
    task: str | None,
    kind: str | None,
    per_second: float,
    yes: bool,
) -> None:
    """Send dead letters again: the same task id, to the same queue of the CURRENT release.

    They go to the fallback queue on SQS, since nobody outside the VPC reaches Redis: the pool's fallback
    workers wake and run them. Retries start at zero; an ETA or an expiry is forgotten. A dead letter is
    deleted once SQS has accepted it. Interrupt it and run it again as you like; a dead letter
    that was just being sent may then run twice. Exit code 1 if a letter can't be sent; it stays.
    """
    if bool(ids) == everything or (ids and (queue or task or kind)):
        raise click.UsageError("give the ids of letters, or --all with or without filters")
    seen = operator.store.read([]).pointer.release
    record = find(operator.store.read([seen]).records, seen)
    machine = Redrive(
        sqs=operator.client("sqs"),
        store=letters(operator),
        environment=operator.environment,
        manifest=record.manifest,
        per_second=per_second,
    )
    wanted = DeadLetterKind(kind) if kind else None
    # Each is met once, even if it fails again meanwhile: a list goes from the newest to the oldest.
    chosen = (each.id for each in headings(operator, queue, task=task, kind=wanted)) if everything else ids
    result = _Result(done=yes, release=seen)
    try:
        _run(_found(operator, chosen, result), machine, result, send=yes)
    finally:
        _tell(operator, result)
    if result.refused:
        raise click.exceptions.Exit(1)


def _found(operator: Operator, ids: Iterable[str], result: _Result) -> Iterator[DeadLetter]:
    store = letters(operator)
    for letter_id in ids:
        try:
            letter = store.get(letter_id)
        except DeadLetterError as error:
            result.refused[letter_id] = str(error)
            continue
        if letter is None:
            result.gone.append(letter_id)
        else:
            yield letter


def _run(found: Iterable[DeadLetter], machine: Redrive, result: _Result, *, send: bool) -> None:
    for letter in found:
        try:
            machine.send(letter) if send else machine.check(letter)
        except DeadLetterError as error:
            result.refused[letter.id] = str(error)
            continue
        result.redriven.append(letter.id)
        if send and len(result.redriven) % _SAY_EVERY == 0:
            click.echo(f"{len(result.redriven)} sent", err=True)


def _tell(operator: Operator, result: _Result) -> None:
    if operator.json:
        show_json(vars(result))
        return
    verb = "sent" if result.done else "would be sent"
    show([f"{letter_id}: is not there (any more), nothing to do" for letter_id in result.gone])
    show([f"{letter_id}: stays: {why}" for letter_id, why in result.refused.items()])
    show([f"{len(result.redriven)} {verb} to release {result.release}, by the {FALLBACK} broker"])
    if not result.done:
        show(["nothing was changed; do it with --yes"])
