"""How far a release is: what it waits for, and when that ends at the latest. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from taskfleet.contract.manifest import MANUAL
from taskfleet.releases import bake, canary, checking
from taskfleet.releases.actions import SendCheck, SendGate
from taskfleet.releases.answering import newer
from taskfleet.releases.bake import bakes
from taskfleet.releases.commands import has_canary
from taskfleet.releases.gating import beat_ticks, missing_gates
from taskfleet.releases.model import Record, State
from taskfleet.releases.observation import Observation, RemainingWork, Rules
from taskfleet.releases.retiring import kept_seconds
from taskfleet.releases.rolling import in_gate


class End(StrEnum):
    """How a release's deploy or drain ended."""

    WELL = "well"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One release. ``waits_for`` is empty when it waits for nothing; ``then`` is what comes next.

    ``until``: when that comes, or what it waits for has failed, at the latest, seconds since the epoch; None:
    there is no such time. ``end`` is None while it goes on by itself; ``reason`` is why it has its state.
    """

    release: str
    state: str
    since: float
    reason: str
    waits_for: tuple[str, ...] = ()
    then: str = ""
    until: float | None = None
    end: End | None = None
    left: RemainingWork | None = None


def progress(
    record: Record,
    seen: Observation,
    *,
    left: RemainingWork | None,
    producers: int | None,
    empty_looks: int,
    judged: str = "",
) -> Progress:
    """How far ``record`` is. What is ``left``, its ``producers``, ``empty_looks`` and how it is ``judged``
    are the last look's. None, and empty: not known.
    """
    rules = Rules()
    if record.retiring and record.state is not State.RETIRED:
        return _going(record, left)
    if record.state is State.REGISTERED:
        return _registered(record)
    if in_gate(record) and record.gate_failed is None:
        return _gating(record, seen, rules)
    if record.state is State.GATING:
        return _passed(record, seen)
    if record.state is State.CANARY:
        return _canary(record, seen, judged)
    if record.state is State.CURRENT and bakes(record):
        return _bake(record, seen, judged)
    if record.state is State.DRAINING:
        return _draining(record, left, producers, empty_looks, rules)
    return _resting(record, left)


def _of(record: Record) -> Callable[..., Progress]:
    """`Progress` of this release, but for what it waits for."""
    reason = record.gate_failed or (record.history[-1].reason if record.history else "")
    return partial(
        Progress, release=record.release, state=str(record.state), since=record.since, reason=reason
    )


def _registered(record: Record) -> Progress:
    before = record.manifest.before_gate
    if record.before is None or before is None:
        return _of(record)(waits_for=("the controller's next look",), then="its gate begins")
    return _of(record)(
        waits_for=(f"its command before the gate ({' '.join(before.command)})",),
        then="its gate begins, or it has failed",
        until=record.before.at + before.timeout_seconds,
    )


def _gating(record: Record, seen: Observation, rules: Rules) -> Progress:
    missing: list[SendGate | SendCheck] = [
        *missing_gates(record, seen, rules),
        *checking.unfinished(record, seen),
    ]
    waits = [
        f"a task on {each.queue} ({each.broker})" if isinstance(each, SendGate) else f"its check {each.task}"
        for each in missing
    ]
    if not beat_ticks(record, seen):
        waits.append("its beat to tick")
    return _of(record)(
        waits_for=tuple(dict.fromkeys(waits)) or ("a running worker in each pool",),
        then=f"its gate has passed, or it has failed: in {rules.gate_deadline_seconds / 60:g} min from its "
        "begin, or twice that while a broker takes no gate task",
        until=record.since + 2 * rules.gate_deadline_seconds,
    )


def _passed(record: Record, seen: Observation) -> Progress:
    if record.paused is not None:
        return _paused(record)
    if record.manifest.promotion == MANUAL or not newer(record, seen.records, seen.pointer):
        promote = f"`fleet release promote {record.release} --yes`"
        return _of(record)(waits_for=(promote,), then="it becomes current", end=End.WELL)
    current = seen.records.get(seen.pointer.release)
    if current is not None and bakes(current):
        what = f"the end of the bake of release {current.release}"
    elif record.deployed:
        what = "the controller's next look"
    else:
        what = "CloudFormation to take that its gate passed"
    begins = has_canary(record, seen.pointer)
    return _of(record)(waits_for=(what,), then="its canary begins" if begins else "it becomes current")


def _canary(record: Record, seen: Observation, judged: str) -> Progress:
    wanted, took = record.manifest.canary, seen.now - record.since
    if record.paused is not None:
        return _paused(record)
    seconds = wanted.seconds if wanted else 0
    late = took >= seconds
    more = f"more runs than that, {wanted.runs} are wanted" if late and wanted else "the rest of its canary"
    return _of(record)(
        waits_for=(f"{more}: {judged or 'how its tasks do is not known yet'}",),
        then="it becomes current, or drains if it does worse",
        until=record.since + seconds * (canary.AT_MOST if late else 1),
    )


def _bake(record: Record, seen: Observation, judged: str) -> Progress:
    if record.paused is not None:
        return _paused(record)
    seconds = record.manifest.bake_seconds
    late = seen.now - record.since >= seconds
    return _of(record)(
        waits_for=(f"{'its alarms' if late else 'the rest of its bake'}: {judged or 'not known yet'}",),
        then=f"it stays current, or release {record.goes_back_to} is current again if its alarms ring",
        until=record.since + seconds * (bake.AT_MOST if late else 1),
    )


def _paused(record: Record) -> Progress:
    return _of(record)(waits_for=(f"`fleet release resume` ({record.paused} paused it)",), end=End.WELL)


def _draining(
    record: Record, left: RemainingWork | None, producers: int | None, empty_looks: int, rules: Rules
) -> Progress:
    waits = []
    if left is None or left.total is None:
        waits.append("what is left in it, which is not known")
    elif left.total:
        waits.append(f"its work: {left}")
    if producers is None:
        waits.append("its producers, which are not known")
    elif producers:
        who = f"{producers} producer{'s' if producers > 1 else ''}"
        waits.append(f"{who} that may still publish to it (`fleet producers list`)")
    if not waits:
        waits.append(f"looks that find nothing in a row: {empty_looks} of {rules.zero_samples}")
    deadline = record.since + record.manifest.drain_deadline_seconds
    return _of(record)(
        waits_for=tuple(waits),
        then="it is drained, or an alarm rings",
        until=deadline,
        left=left,
        end=End.FAILED if record.rejected else None,
    )


def _going(record: Record, left: RemainingWork | None) -> Progress:
    waits = "its queues to be closed" if record.closed_at is None else "its queues to be seen empty, closed"
    return _of(record)(waits_for=(waits,), then="its stack is deleted", left=left)


def _resting(record: Record, left: RemainingWork | None) -> Progress:
    """What has come to where a person would stop looking; it may go on to sleep or be deleted by itself."""
    then, seconds = "", None
    if record.state is State.DRAINED:
        then, seconds = "its workers sleep", record.manifest.warm_seconds
    elif record.state in (State.ASLEEP, State.FAILED):
        then, seconds = "its stack is deleted", kept_seconds(record)
    goes_on = seconds is not None and record.paused is None
    return _of(record)(
        then=then if goes_on else "",
        until=record.since + seconds if goes_on and seconds is not None else None,
        end=End.FAILED if _has_failed(record) else End.WELL,
        left=left,
    )


def _has_failed(record: Record) -> bool:
    return record.state is State.FAILED or record.gate_failed is not None or record.rejected is not None
