"""From draining to retired: nothing is called empty that was not seen empty, several times in a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from taskfleet.releases.actions import Action, Move
from taskfleet.releases.gating import gone
from taskfleet.releases.lease import Lease
from taskfleet.releases.model import Record, State
from taskfleet.releases.observation import UNKNOWN_WORK, Memory, Observation, Rules

MAY_DRAIN = frozenset({State.DRAINING, State.DRAINED, State.ASLEEP})


def consecutive_empty_looks(record: Record, seen: Observation, memory: Memory) -> int:
    """Empty looks in a row. Anything unknown breaks the row.

    So does a published pointer that lags behind the record, as producers follow what is published; and so
    does a producer that may still publish to it.
    """
    told = seen.published == seen.pointer.to_publish
    nobody = seen.producers(record.release) == ()
    empty = nobody and seen.left.get(record.release, UNKNOWN_WORK).total == 0
    return memory.consecutive_empty_looks.get(record.release, 0) + 1 if told and empty else 0


def towards_retired(record: Record, seen: Observation, empty_looks: int, rules: Rules) -> Iterator[Action]:
    """Where a draining, drained or sleeping release goes; what turns up in it has it drain again."""
    name = record.release
    total = seen.left.get(name, UNKNOWN_WORK).total
    if seen.pointer.release == name:
        yield Move(name, State.CURRENT, "the pointer names it")
    elif record.state is State.DRAINING and empty_looks >= rules.zero_samples:
        reason = f"nothing left, and no producer, in {empty_looks} looks in a row"
        yield Move(name, State.DRAINED, reason)
    elif record.state is not State.DRAINING and total:
        yield Move(name, State.DRAINING, f"{total} messages turned up")
    elif record.state is not State.DRAINING and record.closed_at is None and (late := seen.producers(name)):
        yield Move(name, State.DRAINING, f"it may be published to: {names_of(late)}")
    elif record.state is not State.DRAINING and total == 0 and _stack_is_gone(name, seen):
        # Nobody looks into a retired release any more: what is not known to be empty is not retired.
        yield Move(name, State.RETIRED, gone(record))


def _stack_is_gone(name: str, seen: Observation) -> bool:
    return seen.manifests is not None and name not in seen.manifests


def names_of(producers: Sequence[Lease], most: int = 5) -> str:
    """Of the first few, and how many more there are."""
    more = f" and {len(producers) - most} more" if len(producers) > most else ""
    return ", ".join(str(each) for each in producers[:most]) + more


def late(record: Record, seen: Observation) -> str:
    """What holds up a drain that is overdue, for a person."""
    producers = seen.producers(record.release)
    who = "unknown" if producers is None else names_of(producers) or "none"
    tasks = list(seen.holding.get(record.release, {}).items())
    named = [f"{name} ({count})" for name, count in tasks[:5]]
    more = [f"{len(tasks) - 5} more kinds"] if len(tasks) > 5 else []
    return (
        f"release {record.release} drains for longer than {record.manifest.drain_deadline_seconds} s: "
        f"{seen.left.get(record.release, UNKNOWN_WORK)}; tasks: {', '.join(named + more) or 'none seen'}; "
        f"producers that may publish to it: {who}"
    )


def overdue(record: Record, now: float) -> bool:
    """Whether it drains for longer than its manifest allows."""
    return record.state is State.DRAINING and now - record.since > record.manifest.drain_deadline_seconds
