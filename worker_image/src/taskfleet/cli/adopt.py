"""`fleet adopt`: what an existing Celery application needs to run on the fleet."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from taskfleet import applications
from taskfleet.adopting import propose
from taskfleet.cli.output import show, show_json


@click.command()
@click.argument("app", metavar="MODULE:ATTRIBUTE")
@click.pass_context
def adopt(context: click.Context, app: str) -> None:
    """Read an existing Celery application and propose a pool, queues and limits for it.

    Run it where the application can be imported; nothing is connected to and nothing is changed. What
    conflicts with the fleet is listed with its reason. Exit code 1 if anything does.
    """
    sys.path.insert(0, "")  # as the `celery` command does
    loaded = applications.load(app)
    loaded.loader.import_default_modules()
    proposal = propose(loaded)
    if context.obj["json"]:
        show_json({**asdict(proposal), "settings": proposal.settings(app)})
    else:
        show(["# for infra/environments.py: split the pool where some queues must not wait for others"])
        show([*proposal.settings(app).splitlines(), ""])
        show([f"conflict       {each}" for each in proposal.conflicts])
        show([f"no effect      {each}" for each in proposal.without_effect])
        show([f"not protected  {each}" for each in proposal.not_protected])
    sys.exit(1 if proposal.conflicts else 0)
