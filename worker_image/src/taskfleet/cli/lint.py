"""`fleet lint`: what of a Celery application the fleet refuses, ignores, or can't protect."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from taskfleet import applications, enforced, hardening, signatures
from taskfleet.cli.output import show, show_json
from taskfleet.contract import environment as env

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("app", metavar="MODULE:ATTRIBUTE", envvar=env.APP.name)
@click.option("--save", type=_FILE, help="Write the signatures of its tasks into this file.")
@click.option("--against", type=_FILE, help="Compare them with those in a file of `--save`.")
@click.pass_context
def lint(context: click.Context, app: str, save: Path | None, against: Path | None) -> None:
    """Import a Celery application and look at its settings and tasks; nothing is connected to.

    Exit code 1 if a worker would refuse to start, or if a task can't take what it takes in the file of
    ``--against``, which a rolling deploy refuses (versioned releases need not care). Settings without effect
    and tasks that are not protected are listed: they may be meant.
    """
    sys.path.insert(0, "")  # as the `celery` command does
    loaded = applications.load(app)
    loaded.loader.import_default_modules()
    refused = enforced.problems(loaded)
    unused = {name: enforced.NO_EFFECT[name] for name in enforced.without_effect(loaded)}
    lacking = [{"task": task, "reason": reason} for task, reason in hardening.lacking(loaded)]
    own = signatures.of(loaded)
    broken = [] if against is None else signatures.breaks(_read(against), own)
    if save is not None:
        save.write_text(json.dumps(signatures.to_plain(own), indent=1) + "\n")
    if context.obj["json"]:
        breaks = {} if against is None else {"breaks": [vars(each) for each in broken]}
        show_json({"refused": refused, "without_effect": unused, "not_protected": lacking, **breaks})
    else:
        show([f"refused        {each}" for each in refused])
        show([f"no effect      {name}: {instead} instead" for name, instead in unused.items()])
        show([f"not protected  {each['task']}: {each['reason']}" for each in lacking])
        show([f"breaks         {each}" for each in broken])
        show([] if refused or unused or lacking or broken else ["nothing to say"])
    sys.exit(1 if refused or broken else 0)


def _read(file: Path) -> signatures.Signatures:
    try:
        return signatures.from_plain(json.loads(file.read_text()))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{file} is no file of `fleet lint --save`: {error}") from error
