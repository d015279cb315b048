"""`fleet release pause`, `resume` and `wake`: what a release does by itself, and whether it is warm."""

from __future__ import annotations

import time

import click

from taskfleet.cli.dry_run import say, yes
from taskfleet.cli.operator import Operator, asks
from taskfleet.releases import commands


@click.command()
@click.argument("release")
@yes
@asks
def pause(operator: Operator, release: str, yes: bool) -> None:
    """Keep a release as it is: it does not become current, sleep or get deleted by itself.

    Its gate still runs and its drain is still measured; what a person asks for is still done.
    """
    _set(operator, release, yes=yes, paused=True)


@click.command()
@click.argument("release")
@yes
@asks
def resume(operator: Operator, release: str, yes: bool) -> None:
    """Let a release that was paused go on by itself: promotion, sleep and deletion as its settings say."""
    _set(operator, release, yes=yes, paused=False)


def _set(operator: Operator, release: str, *, yes: bool, paused: bool) -> None:
    records = operator.store.scan().records
    record = commands.pause(records, release, actor=operator.actor() if paused else None)
    if record is None:
        say(
            operator,
            done=True,
            steps=[f"release {release} is {'paused' if paused else 'not paused'} already"],
        )
        return
    if yes:
        operator.store.save(record)
    what = "does nothing by itself any more" if paused else "goes on by itself"
    undo = f"fleet release {'resume' if paused else 'pause'} {release} --yes"
    say(operator, done=yes, steps=[f"release {release} {what} (it is {record.state})"], undo=undo)


@click.command()
@click.argument("release")
@yes
@asks
def wake(operator: Operator, release: str, yes: bool) -> None:
    """Start the workers of a release that sleeps, so that it can be promoted: a minute or two on AWS."""
    records = operator.store.scan().records
    record = commands.wake(records, release, at=time.time(), actor=operator.actor())
    if record is None:
        say(operator, done=True, steps=[f"release {release} is {records[release].state}: it is warm already"])
        return
    if yes:
        operator.store.save(record)
    warm = record.manifest.warm_seconds
    for_how_long = "" if warm is None else f", for {warm} s"
    steps = [f"release {release} is warm again{for_how_long}: its pools get their least number of workers"]
    say(operator, done=yes, steps=steps)
