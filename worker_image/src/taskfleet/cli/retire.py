"""`fleet release retire`: close a release, see that nothing is left in it, then delete its stack."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

import click

from taskfleet import stacks
from taskfleet.cli.dry_run import say, yes
from taskfleet.cli.operator import Operator, asks
from taskfleet.cli.releases import last_seen, left_in
from taskfleet.contract import names
from taskfleet.contract.limits import SQS_COUNTS_SETTLE_SECONDS, SQS_POLICY_SETTLES_SECONDS
from taskfleet.errors import ReleaseError
from taskfleet.releases import commands
from taskfleet.releases.closing import may_be_deleted
from taskfleet.releases.store import Conflict

_LOOK_EVERY_SECONDS = 1.0
# For the controller to close the queues and to look again, beside the time to settle.
_PATIENCE_SECONDS = 90.0


@click.command()
@click.argument("release")
@yes
@click.option(
    "--park",
    is_flag=True,
    help="Move what is left in it to the dead-letter store, where it can be listed and sent again.",
)
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until its stack is gone.")
@click.option(
    "--settle-seconds",
    type=click.FloatRange(min=0),
    default=float(SQS_POLICY_SETTLES_SECONDS + SQS_COUNTS_SETTLE_SECONDS),
    show_default=True,
    help="How long after its closing it must still be empty: SQS may take a minute until it refuses what is "
    "sent, and its counts lag behind by another.",
)
@asks
def retire(
    operator: Operator, release: str, yes: bool, park: bool, wait: bool, settle_seconds: float
) -> None:
    """Delete the stack of a release that has drained, failed or never served. Refused while work is left.

    First its queues are closed: a publish to them is refused, and the producer follows the current release.
    Then it must be seen empty. If it is not, it is opened again.

    With --park one that still drains is retired, too. Its workers are stopped, give back what they run, and
    all that is left becomes dead letters; without --yes it is only shown.
    """
    seen, stack = operator.store.scan(), names.release_stack(operator.environment, release)
    record, left = commands.find(seen.records, release), left_in(operator, release)
    marked = commands.retire(
        seen.records, seen.pointer, release, left=left, actor=operator.actor(), park=park
    )
    if marked is None:
        say(operator, done=True, steps=[f"release {release} is retired already: nothing to do"])
        return
    if yes:
        operator.store.save(marked)
        try:
            _wait_until_empty(operator, release, settle_seconds)
            stacks.delete(
                operator.client("cloudformation"), stack, environment=operator.environment, wait=wait
            )
        except BaseException:
            _unmark(operator, release)
            raise
    parks = [
        f"its workers are stopped, and what is left becomes dead letters: {left or 'not known just now'}",
        "see them, and send them again: fleet dead list, fleet dead redrive",
    ]
    steps = [
        f"the queues of release {release} are closed, and must be seen empty {settle_seconds:g} s later",
        *(parks if park else ()),
        f"the stack {stack} is deleted: its workers, its queues and its alarms",
        f"the controller then notes release {release} as retired (it is {record.state})",
    ]
    say(operator, done=yes, steps=steps)


def _wait_until_empty(operator: Operator, release: str, settle_seconds: float) -> None:
    """`ReleaseError` if work is left in it, or if that can't be known in time."""
    end = time.monotonic() + settle_seconds + _PATIENCE_SECONDS
    while True:
        record = operator.store.read([release]).records[release]
        left, seen_at = last_seen(operator, release)
        if may_be_deleted(record, left, seen_at=seen_at, settle_seconds=settle_seconds):
            return
        if time.monotonic() > end:
            closed = "was closed" if record.closed_at else "could not be closed on both brokers"
            raise ReleaseError(
                f"release {release} {closed}, and the controller did not see it empty since then; "
                "see `fleet status` for what does not answer, then run this again"
            )
        time.sleep(_LOOK_EVERY_SECONDS)


def _unmark(operator: Operator, release: str) -> None:
    """Its stack stays, so it is opened again and may be promoted."""
    for _ in range(5):
        record = operator.store.read([release]).records[release]
        with suppress(Conflict):  # the controller wrote it meanwhile
            kept = replace(record, retiring=None, parking=False, version=record.version + 1)
            operator.store.save(kept)
            return
