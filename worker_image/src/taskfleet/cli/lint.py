"""`fleet lint`: what of a Celery application the fleet refuses, ignores, or can't protect; and its source."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from celery import Celery

from taskfleet import applications, enforced, hardening, signatures
from taskfleet.cli.output import show, show_json
from taskfleet.contract import environment as env
from taskfleet.linting import applications as linted
from taskfleet.linting import checking
from taskfleet.linting.checking import Bounds
from taskfleet.linting.finding import Finding

_FILE = click.Path(dir_okay=False, path_type=Path)
_SOURCE = click.Path(exists=True, path_type=Path)


@dataclass(frozen=True)
class Said:
    """``breaks`` is None if nothing was compared."""

    refused: Sequence[str] = ()
    without_effect: dict[str, str] = field(default_factory=dict)
    not_protected: Sequence[dict[str, str]] = ()
    breaks: Sequence[signatures.Break] | None = None
    findings: Sequence[Finding] = ()

    def lines(self) -> list[str]:
        """For people."""
        return [
            *(f"refused        {each}" for each in self.refused),
            *(f"no effect      {name}: {instead} instead" for name, instead in self.without_effect.items()),
            *(f"not protected  {each['task']}: {each['reason']}" for each in self.not_protected),
            *(f"breaks         {each}" for each in self.breaks or ()),
            *map(str, self.findings),
        ] or ["nothing to say"]

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        made = {**vars(self), "findings": [vars(each) for each in self.findings]}
        breaks = made.pop("breaks")
        return made if breaks is None else {**made, "breaks": [vars(each) for each in breaks]}


@click.command()
@click.argument("app", metavar="[MODULE:ATTRIBUTE]", envvar=env.APP.name, required=False)
@click.option("--save", type=_FILE, help="Write the signatures of its tasks into this file.")
@click.option("--against", type=_FILE, help="Compare them with those in a file of `--save`.")
@click.option("--source", type=_SOURCE, multiple=True, help="Files or folders to read, instead of its own.")
@click.option("--queues", help="The queues of all pools, by comma: tasks that go to another are listed.")
@click.option("--strict", is_flag=True, help="Exit code 1 for any finding in the source, too.")
@click.option(
    "--longest-countdown",
    type=click.FloatRange(min=0),
    default=Bounds.longest_countdown,
    show_default=True,
    metavar="SECONDS",
)
@click.option("--most-members", type=click.IntRange(min=2), default=Bounds.most_members, show_default=True)
@click.pass_context
def lint(
    context: click.Context,
    app: str | None,
    save: Path | None,
    against: Path | None,
    source: tuple[Path, ...],
    queues: str | None,
    strict: bool,
    longest_countdown: float,
    most_members: int,
) -> None:
    """Look at a Celery application's settings, tasks and source; nothing is connected to.

    With --source alone nothing is imported, either. Exit code 1 if a worker would refuse to start, or if a
    task can't take what it takes in the file of ``--against``, which a rolling deploy refuses (versioned
    releases need not care). Settings without effect, tasks that are not protected and what is found in the
    source are listed: they may be meant. A comment ``# fleet: ignore[RULE]`` says so on its line.
    """
    bounds = Bounds(longest_countdown, most_members)
    if app is None:
        if not source or save or against or queues:
            raise click.UsageError("name an application (MODULE:ATTRIBUTE), or --source alone")
        said = Said(findings=checking.check(source, bounds))
    else:
        loaded = _loaded(app)
        strict = strict or linted.mode(loaded) is linted.Mode.STRICT
        own = signatures.of(loaded)
        if save is not None:
            save.write_text(json.dumps(signatures.to_plain(own), indent=1) + "\n")
        unrouted = [] if queues is None else list(linted.unrouted(loaded, queues.split(",")))
        said = Said(
            refused=enforced.problems(loaded),
            without_effect={name: enforced.NO_EFFECT[name] for name in enforced.without_effect(loaded)},
            not_protected=[{"task": task, "reason": why} for task, why in hardening.lacking(loaded)],
            breaks=None if against is None else signatures.breaks(_read(against), own),
            findings=checking.check(source or linted.folders(loaded), bounds) + unrouted,
        )
    if context.obj["json"]:
        show_json(said.to_json())
    else:
        show(said.lines())
    sys.exit(1 if said.refused or said.breaks or (strict and said.findings) else 0)


def _loaded(app: str) -> Celery:
    sys.path.insert(0, "")  # as the `celery` command does
    loaded = applications.load(app)
    loaded.loader.import_default_modules()
    loaded.finalize()
    return loaded


def _read(file: Path) -> signatures.Signatures:
    try:
        return signatures.from_plain(json.loads(file.read_text()))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{file} is no file of `fleet lint --save`: {error}") from error
