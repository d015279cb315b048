"""`fleet release promote`, `rollback` and `retire`: say what would be done; do it with ``--yes``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from taskfleet.cli.operator import Operator, asks
from taskfleet.cli.output import show, show_json
from taskfleet.contract import names
from taskfleet.measuring.services import services
from taskfleet.releases import commands, promoting
from taskfleet.releases.model import Record
from taskfleet.releases.store import Snapshot

F = TypeVar("F", bound=Callable[..., Any])


def yes(command: F) -> F:
    """Give a command ``--yes``."""
    return click.option("--yes", is_flag=True, help="Do it. Without this it is only said.")(command)


def reason(command: F) -> F:
    """Give a command ``--reason``, for the history."""
    return click.option("--reason", default="by an operator", show_default=True, help="For the history.")(
        command
    )


def say(operator: Operator, *, done: bool, steps: list[str], undo: str | None = None) -> None:
    """Tell what was done, or would be."""
    if operator.json:
        show_json({"done": done, "steps": steps, "undo": undo})
        return
    show([*(step if done else f"would: {step}" for step in steps)])
    if undo and done:
        show([f"undo: {undo}"])
    if not done:
        show(["nothing was changed; do it with --yes"])


@click.command()
@click.argument("release")
@yes
@reason
@asks
def promote(operator: Operator, release: str, yes: bool, reason: str) -> None:
    """Make a release current: producers publish to it, the one before drains. Its gate must have passed."""
    _promote(operator, operator.store.scan(), release, yes=yes, reason=reason)


@click.command()
@click.argument("release", required=False)
@yes
@reason
@asks
def rollback(operator: Operator, release: str | None, yes: bool, reason: str) -> None:
    """Go back to the release that was current before (or to RELEASE), if it is still warm.

    Running it twice is refused: name the release to go back further, or forward again.
    """
    seen = operator.store.scan()
    target = release or commands.before(seen.records, seen.pointer).release
    _promote(operator, seen, target, yes=yes, reason=f"rollback {reason}")


def _promote(operator: Operator, seen: Snapshot, release: str, *, yes: bool, reason: str) -> None:
    plan = commands.promote(
        seen.records,
        seen.pointer,
        release,
        at=time.time(),
        actor=operator.actor(),
        reason=reason,
        running=_running(operator, commands.find(seen.records, release)),
    )
    if plan is None:
        if yes:
            promoting.publish(operator.store, operator.client("ssm"), operator.environment)
        say(operator, done=True, steps=[f"release {release} is current already: nothing to do"])
        return
    if yes:
        promoting.promote(operator.store, operator.client("ssm"), operator.environment, plan)
    undo = f"fleet release promote {seen.pointer.release} --yes" if plan.blue else None
    say(operator, done=yes, steps=list(plan.steps), undo=undo)


def _running(operator: Operator, record: Record) -> dict[str, int]:
    """Workers by pool."""
    by_service = {names.service(pool.name, record.release): pool.name for pool in record.manifest.pools}
    found = services(operator.client("ecs"), names.cluster(operator.environment), by_service)
    return {by_service[name]: service.running for name, service in found.items()}
