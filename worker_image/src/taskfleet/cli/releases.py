"""`fleet release list` and `show`: read the records."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from taskfleet.cli.operator import LastSnapshot, Operator, asks
from taskfleet.cli.output import duration, show, show_json, table
from taskfleet.controller.fleet_snapshot import ReleaseSnapshot
from taskfleet.errors import TaskfleetError
from taskfleet.releases.bake import bakes
from taskfleet.releases.builds import Refused
from taskfleet.releases.commands import find
from taskfleet.releases.items import from_record
from taskfleet.releases.model import Record, State
from taskfleet.releases.observation import RemainingWork


@click.command("list")
@asks
def list_releases(operator: Operator) -> None:
    """List every release that there has been, the newest state first."""
    seen, now = operator.store.scan(), time.time()
    records = sorted(seen.records.values(), key=lambda record: -record.since)
    if operator.json:
        show_json({"current": seen.pointer.release, "releases": [as_json(record) for record in records]})
        return
    rows = [
        (r.release, _state(r), "yes" if r.ready else "-", duration(now - r.since), r.image) for r in records
    ]
    show(table(("release", "state", "ready", "for", "image"), rows, indent=""))


@click.command("show")
@click.argument("release")
@asks
def show_release(operator: Operator, release: str) -> None:
    """Show a release: its state, what is left in it, and its history."""
    record = find(operator.store.scan().records, release)
    look = look_at(operator, release)
    left = look.left if look else None
    refused = operator.store.refused_build(release) if record.manifest.build else None
    if operator.json:
        parts = None if left is None else dict(vars(left), total=left.total)
        why = {"refused": vars(refused)} if refused else {}
        show_json({**as_json(record), "left": parts, **why})
        return
    show(
        [
            f"release  {record.release}",
            f"state    {_state(record)}, for {duration(time.time() - record.since)}",
            f"ready    {'yes: it may be promoted' if record.ready else 'no'}",
            f"image    {record.image}",
            *([f"build    {record.manifest.build}"] if record.manifest.build else []),
            f"gate     {_gate(record)}",
            *_judged(record, look.judged if look else "", time.time()),
            f"left     {_says(left)}",
            *_refused(refused),
            "history",
            *(_line(change) for change in as_json(record)["history"]),
        ]
    )


def _state(record: Record) -> str:
    return f"{record.state}{' (bakes)' if bakes(record) else ' (rejected)' if record.rejected else ''}"


def _judged(record: Record, judged: str, now: float) -> Iterator[str]:
    """How it does in its canary or its bake, for how long it still does, or why it was rejected."""
    wanted, said = record.manifest.canary, judged or "not known"
    if record.state is State.CANARY and wanted is not None:
        yield f"canary   {said}; {_to_go(record.since + wanted.seconds - now)}"
    if bakes(record):
        yield f"bake     alarms: {said}; {_to_go(record.since + record.manifest.bake_seconds - now)}"
    if record.rejected:
        yield f"rejected {record.rejected}"


def _to_go(seconds: float) -> str:
    return f"{duration(seconds)} to go" if seconds > 0 else "it waits on, for as long again at most"


def left_in(operator: Operator, release: str) -> RemainingWork | None:
    """What is left in a release by a look that is fresh; else None: it is not known."""
    return last_seen(operator, release)[0]


def last_seen(operator: Operator, release: str) -> tuple[RemainingWork | None, float]:
    """As `left_in`, and when that was, in seconds since the epoch."""
    try:
        last = operator.last_look()
    except TaskfleetError:
        return None, 0.0
    found = _found(last, release)
    return found.left if found else None, last.look.at


def look_at(operator: Operator, release: str) -> ReleaseSnapshot | None:
    """What the last look says of a release; None if it is not fresh."""
    try:
        return _found(operator.last_look(), release)
    except TaskfleetError:
        return None


def _found(last: LastSnapshot, release: str) -> ReleaseSnapshot | None:
    looks = [] if last.silent else [each for each in last.look.releases if each.release == release]
    return looks[0] if looks else None


def as_json(record: Record) -> dict[str, Any]:
    """A record for scripts."""
    item = from_record(record)
    manifest, history = item.pop("manifest"), item.pop("history")
    del item["id"]
    return {
        **item,
        "ready": record.ready,
        "queues": list(record.manifest.queues),
        "history": history,
        "manifest": manifest,
    }


def _refused(build: Refused | None) -> list[str]:
    """The last build that was not let in."""
    if build is None:
        return []
    at = datetime.fromtimestamp(build.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return [f"refused  build {build.build}, {at}:", *(f"  {one}" for one in build.breaks)]


def _gate(record: Record) -> str:
    if record.gate_passed_at is None:
        return f"has not passed{f': {record.gate_failed}' if record.gate_failed else ''}"
    took = ", ".join(f"{broker} after {duration(seconds)}" for broker, seconds in record.gate_took)
    return f"passed{': ' if took else ''}{took}"


def _says(left: RemainingWork | None) -> str:
    if left is None:
        return "not known: the controller is silent, or does not watch this release"
    return str(left)


def _line(change: dict[str, Any]) -> str:
    when = datetime.fromtimestamp(change["at"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return (
        f"  {when}  {change['from'] or '(new)'} -> {change['to']}  by {change['actor']}: {change['reason']}"
    )
