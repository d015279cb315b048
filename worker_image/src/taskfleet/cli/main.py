"""The `fleet` command and its parts."""

from __future__ import annotations

import click

from taskfleet.cli import (
    adopt,
    chunks,
    dead,
    doctor,
    failures,
    lint,
    pausing,
    pipelines,
    producer_env,
    producers,
    promotion,
    queues,
    rate,
    redrive,
    releases,
    retire,
    rotate,
    run,
    scale,
    schedule,
    simulate,
    status,
    tasks,
    watching,
)
from taskfleet.contract import environment as env


@click.group(
    cls=failures.Group,
    epilog="Exit codes: 0 fine, 1 a problem was found or something was refused, 2 wrong usage.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--environment", "-e", envvar=env.ENVIRONMENT.name, help="local, dev, staging, prod, …")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; null is what is not known.")
@click.pass_context
def fleet(context: click.Context, environment: str | None, as_json: bool) -> None:
    """Look at a Celery fleet, and move its releases.

    Works with AWS's APIs alone: credentials and region come from the environment, as for the AWS command
    line. Nothing is changed without --yes; `fleet run` runs what it is given.
    """
    context.obj = {"environment": environment, "json": as_json}


@fleet.group()
def release() -> None:
    """Releases: which exist, which is current, promote, roll back, pause, retire, watch."""


for command in (
    status.status,
    queues.queues,
    tasks.tasks,
    scale.scale,
    scale.restart,
    run.run,
    chunks.chunks,
    pipelines.pipelines,
    rate.rate,
    schedule.schedule,
    doctor.doctor,
    lint.lint,
    adopt.adopt,
    simulate.simulate,
    producer_env.producer_env,
    producers.producers,
):
    fleet.add_command(command)
for command in (
    releases.list_releases,
    releases.show_release,
    watching.watch,
    promotion.promote,
    promotion.rollback,
    pausing.pause,
    pausing.resume,
    pausing.wake,
    retire.retire,
):
    release.add_command(command)
fleet.add_command(rotate.broker)
fleet.add_command(rotate.results)
fleet.add_command(dead.dead)
dead.dead.add_command(redrive.redrive)
