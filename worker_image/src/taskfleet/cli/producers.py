"""`fleet producers`: which processes may publish, to which releases; forget one that is gone."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from taskfleet.cli.dry_run import say, yes
from taskfleet.cli.operator import Operator, asks
from taskfleet.cli.output import duration, show, show_json, table
from taskfleet.errors import TaskfleetError
from taskfleet.releases.lease import Lease

_HEAD = ("process", "application", "releases", "pinned", "for", "ends in")


@click.group()
def producers() -> None:
    """Processes that publish: which releases each may still publish to, and until when."""


@producers.command("list")
@click.option("--release", help="Only those that may publish to this one.")
@asks
def list_producers(operator: Operator, release: str | None) -> None:
    """List the processes whose lease has not ended."""
    now = time.time()
    found = sorted(
        (each for each in operator.leases.list() if not each.past(now) and release in (None, *each.releases)),
        key=lambda each: each.process,
    )
    if operator.json:
        show_json({"producers": [asdict(each) for each in found]})
        return
    rows = [_row(each, now) for each in found]
    show(table(_HEAD, rows, indent="") if rows else ["no process has a lease"])


@producers.command()
@click.argument("process")
@yes
@asks
def forget(operator: Operator, process: str, yes: bool) -> None:
    """Forget the lease of PROCESS, which has ended without taking it back: a drain waits for it no more.

    One that still runs writes it again within a minute.
    """
    found = {each.process: each for each in operator.leases.list()}
    if process not in found:
        raise TaskfleetError(
            f"there is no lease of {process!r}: `fleet producers list` shows those there are"
        )
    if yes:
        operator.leases.forget(process)
    lease = found[process]
    say(operator, done=yes, steps=[f"forget {lease}, which may publish to {', '.join(lease.releases)}"])


def _row(lease: Lease, now: float) -> tuple[str, ...]:
    return (
        lease.process,
        lease.application,
        ", ".join(lease.releases),
        "yes" if lease.pinned else "-",
        duration(now - lease.since),
        duration(max(0.0, lease.until - now)),
    )
