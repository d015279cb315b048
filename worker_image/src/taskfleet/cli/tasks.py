"""`fleet tasks`: which task names are slow, failing or retried, over the last hour."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

import click

from taskfleet.cli.operator import Operator, asks
from taskfleet.cli.output import UNKNOWN, duration, number, seconds, show, show_json, table
from taskfleet.controller.tasks import Hour, Task
from taskfleet.errors import TaskfleetError

# A minute is written when it is over; later than this, figures don't say what is now.
OLD_AFTER_SECONDS = 180.0

_HEAD = (
    "task",
    "queue",
    "release",
    "runs",
    "failed",
    "retried",
    "wait p95",
    "run p50",
    "run p95",
    "memory p95",
    "exceptions",
)
_BY: dict[str, Callable[[Task], float]] = {
    "failed": lambda each: each.failed,
    "retried": lambda each: each.retried,
    "runs": lambda each: each.runs,
    "runtime": lambda each: each.runtime_p95 or 0.0,
    "wait": lambda each: each.wait_p95 or 0.0,
    "work": lambda each: each.runtime_sum,
}


@click.command()
@click.option("--release", help="Only this release; all that live unless given.")
@click.option("--queue", help="Only this queue.")
@click.option(
    "--by",
    type=click.Choice(sorted(_BY)),
    default="failed",
    show_default=True,
    help="What comes first: most runs that failed or were retried, most runs, the longest run time or wait "
    "(95th percentile), or the most work (all run times together).",
)
@asks
def tasks(operator: Operator, release: str | None, queue: str | None, by: str) -> None:
    """List task names over the last hour: runs, failures, retries, waits, run times, exceptions.

    Counted by the workers, about a minute late; a worker that is killed takes its last ten seconds along.
    """
    hour = _last(operator)
    wanted = [each for each in hour.tasks if release in (None, each.release) and queue in (None, each.queue)]
    wanted.sort(key=lambda each: (-_BY[by](each), -each.runs, each.task))
    age = max(0.0, time.time() - hour.until)
    if operator.json:
        rows = [{"runs": each.runs, **asdict(each)} for each in wanted]
        show_json({"age_seconds": age, "left_out": hour.left_out, "tasks": rows})
        return
    if age > OLD_AFTER_SECONDS:
        old = duration(age)
        click.echo(f"THESE FIGURES ARE {old} OLD: the controller is silent, or Redis does not answer.")
    if not wanted:
        click.echo("no run of these was counted in the last hour; a run that ends now is seen in two minutes")
        return
    show(table(_HEAD, [_row(each) for each in wanted], indent=""))
    if hour.left_out:
        click.echo(f"{hour.left_out} more, with fewer failures and runs, are not kept.")


def _last(operator: Operator) -> Hour:
    kept = operator.store.read_hour()
    if kept is None:
        raise TaskfleetError(
            f"nothing was counted yet in {operator.environment}: the controller reads it once a minute while "
            "the primary broker answers; ask `fleet status`"
        )
    try:
        return Hour.from_json(kept)
    except ValueError as error:
        raise TaskfleetError(f"the last hour can't be read: {error}; deploy the fleet's stack") from error


def _row(each: Task) -> tuple[str, ...]:
    said = ", ".join(f"{name} {count}" for name, count in each.exceptions.items())
    memory = UNKNOWN if each.memory_p95_mib is None else f"{each.memory_p95_mib:g} MiB"
    return (
        each.task,
        each.queue,
        each.release,
        number(each.runs),
        number(each.failed),
        number(each.retried),
        seconds(each.wait_p95),
        seconds(each.runtime_p50),
        seconds(each.runtime_p95),
        memory,
        said or "-",
    )
