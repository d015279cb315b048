"""Stacks of releases that failed before their manifest was written, and were left for a look. Pure.

Whatever of such a stack is there sleeps, and goes after ``keep_failed_seconds``, as any other failed release.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from taskfleet.releases.actions import Unmade
from taskfleet.releases.model import Record, State
from taskfleet.releases.observation import Observation


def found(seen: Observation) -> Iterator[Unmade]:
    """Note those that no record says so of."""
    for release, begun in sorted((seen.begun or {}).items()):
        record = seen.records.get(release)
        if begun.failure is not None and (record is None or record.state is State.RETIRED):
            yield Unmade(begun.manifest, f"its stack failed ({begun.failure})")


def made_after_all(seen: Observation) -> Observation:
    """Without the records of those that have a manifest now: they are registered anew."""
    made = {r.release for r in seen.records.values() if r.never_made and r.release in (seen.manifests or {})}
    return replace(seen, records={name: each for name, each in seen.records.items() if name not in made})


def is_left(record: Record, seen: Observation) -> bool:
    """Whether the stack of a failed release is there without a manifest."""
    begun = (seen.begun or {}).get(record.release)
    return record.state is State.FAILED and begun is not None and begun.failure is not None


def may_be_left(record: Record, seen: Observation) -> bool:
    """Whether it is, or is not known not to be."""
    return record.state is State.FAILED and (seen.begun is None or record.release in seen.begun)


def problem(record: Record, seen: Observation) -> Iterator[str]:
    """What a person should know of one."""
    if not is_left(record, seen) or record.retiring is not None:
        return
    name, kept = record.release, record.manifest.keep_failed_seconds
    if kept is None or record.paused is not None:
        until = "stays"
    else:
        when = datetime.fromtimestamp(record.since + kept, UTC)
        until = f"is deleted at {when:%Y-%m-%d %H:%M} UTC"
    yield (
        f"release {name} failed: {record.history[-1].reason}. Its workers sleep, and its stack {until}: look "
        "at its events in CloudFormation before, mend what they name, and deploy again; "
        f"`fleet release retire {name} --yes` deletes it now"
    )
