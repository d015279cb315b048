"""`fleet lint`: what of a Celery application the fleet refuses, ignores, or can't protect."""

from __future__ import annotations

import sys

import click

from taskfleet import applications, enforced, hardening
from taskfleet.cli.output import show, show_json
from taskfleet.contract import environment as env


@click.command()
@click.argument("app", metavar="MODULE:ATTRIBUTE", envvar=env.APP.name)
@click.pass_context
def lint(context: click.Context, app: str) -> None:
    """Import a Celery application and look at its settings and tasks; nothing is connected to.

    Exit code 1 if a worker would refuse to start. Settings without effect and tasks that are not protected
    are listed: they may be meant.
    """
    sys.path.insert(0, "")  # as the `celery` command does
    loaded = applications.load(app)
    loaded.loader.import_default_modules()
    refused = enforced.problems(loaded)
    unused = {name: enforced.NO_EFFECT[name] for name in enforced.without_effect(loaded)}
    lacking = [{"task": task, "reason": reason} for task, reason in hardening.lacking(loaded)]
    if context.obj["json"]:
        show_json({"refused": refused, "without_effect": unused, "not_protected": lacking})
    else:
        show([f"refused        {each}" for each in refused])
        show([f"no effect      {name}: {instead} instead" for name, instead in unused.items()])
        show([f"not protected  {each['task']}: {each['reason']}" for each in lacking])
        show([] if refused or unused or lacking else ["nothing to say"])
    sys.exit(1 if refused else 0)
