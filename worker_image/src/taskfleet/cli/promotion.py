"""`fleet release promote` and `rollback`."""

from __future__ import annotations

import time
from typing import Any

import click

from taskfleet.cli.dry_run import reason, say, yes
from taskfleet.cli.operator import Operator, asks
from taskfleet.contract import names
from taskfleet.errors import TaskfleetError
from taskfleet.measuring.services import services
from taskfleet.releases import commands, promoting
from taskfleet.releases.commands import Promotion
from taskfleet.releases.model import Record, State
from taskfleet.releases.store import Snapshot


@click.command()
@click.argument("release")
@click.option("--at-once", is_flag=True, help="Without its canary, or without the rest of it.")
@yes
@reason
@asks
def promote(operator: Operator, release: str, at_once: bool, yes: bool, reason: str) -> None:
    """Make a release current: producers publish to it, the one before drains. Its gate must have passed.

    One whose settings have a canary begins with that, and the controller makes it current then.
    """
    seen = operator.store.scan()
    record = commands.find(seen.records, release)
    if record.state is State.CANARY and not at_once:
        raise TaskfleetError(
            f"release {release} is in its canary already (fleet release watch {release}); --at-once makes it "
            "current now, fleet release rollback ends it"
        )
    if commands.has_canary(record, seen.pointer) and not at_once:
        by: dict[str, Any] = {"at": time.time(), "actor": operator.actor(), "reason": reason}
        running = _running(operator, record)
        plan = commands.start_canary(seen.records, seen.pointer, release, **by, running=running)
        _carry_out(operator, plan, yes=yes, undo="fleet release rollback --yes")
        return
    _promote(operator, seen, release, yes=yes, reason=reason)


@click.command()
@click.argument("release", required=False)
@yes
@reason
@asks
def rollback(operator: Operator, release: str | None, yes: bool, reason: str) -> None:
    """Go back to the release that was current before (or to RELEASE), if it is still warm.

    While a release is in its canary, end that. Running it twice is refused: name the release to go back
    further, or forward again.
    """
    seen = operator.store.scan()
    if release in (None, seen.pointer.release) and seen.pointer.split is not None:
        plan = commands.end_canary(
            seen.records,
            seen.pointer,
            at=time.time(),
            actor=operator.actor(),
            reason=f"rollback {reason}",
        )
        if plan is not None:
            _carry_out(operator, plan, yes=yes)
            return
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
    undo = f"fleet release promote {seen.pointer.release} --yes" if plan.blue else None
    _carry_out(operator, plan, yes=yes, undo=undo)


def _carry_out(operator: Operator, plan: Promotion, *, yes: bool, undo: str | None = None) -> None:
    if yes:
        promoting.promote(operator.store, operator.client("ssm"), operator.environment, plan)
    say(operator, done=yes, steps=list(plan.steps), undo=undo)


def _running(operator: Operator, record: Record) -> dict[str, int]:
    """Workers by pool."""
    by_service = {names.service(pool.name, record.release): pool.name for pool in record.manifest.pools}
    found = services(operator.client("ecs"), names.cluster(operator.environment), by_service)
    return {by_service[name]: service.running for name, service in found.items()}
