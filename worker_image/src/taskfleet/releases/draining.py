"""From draining to retired: nothing is called empty that was not seen empty, several times in a row."""

from __future__ import annotations

from collections.abc import Iterator

from taskfleet.releases.actions import Action, Move
from taskfleet.releases.gating import gone
from taskfleet.releases.model import Record, State
from taskfleet.releases.observation import UNKNOWN_LEFT, Memory, Observation, Rules

MAY_DRAIN = frozenset({State.DRAINING, State.DRAINED})


def zeros(record: Record, seen: Observation, memory: Memory) -> int:
    """Empty looks in a row. Anything unknown breaks the row.

    So does a published pointer that lags behind the record: producers follow what is published.
    """
    told = seen.published is not None and seen.published == seen.pointer.release
    empty = seen.left.get(record.release, UNKNOWN_LEFT).total == 0
    return memory.zeros.get(record.release, 0) + 1 if told and empty else 0


def towards_retired(record: Record, seen: Observation, empty_looks: int, rules: Rules) -> Iterator[Action]:
    """What a draining or drained release does next."""
    name = record.release
    total = seen.left.get(name, UNKNOWN_LEFT).total
    if seen.pointer.release == name:
        yield Move(name, State.CURRENT, "the pointer names it")
    elif record.state is State.DRAINING and empty_looks >= rules.zero_samples:
        yield Move(name, State.DRAINED, f"nothing left in {empty_looks} looks in a row")
    elif record.state is State.DRAINED and total:
        yield Move(name, State.DRAINING, f"{total} messages turned up")
    elif record.state is State.DRAINED and total == 0 and _stack_is_gone(name, seen):
        # Nobody looks into a retired release any more: what is not known to be empty is not retired.
        yield Move(name, State.RETIRED, gone(record))


def _stack_is_gone(name: str, seen: Observation) -> bool:
    return seen.manifests is not None and name not in seen.manifests


def overdue(record: Record, now: float) -> bool:
    """Whether it drains for longer than its manifest allows."""
    return record.state is State.DRAINING and now - record.since > record.manifest.drain_deadline_seconds
