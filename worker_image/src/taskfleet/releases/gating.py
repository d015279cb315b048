"""From registered to ready: consumers before producers, proven by a task on every queue."""

from __future__ import annotations

import math
from collections.abc import Iterator

from taskfleet.contract import state as keys
from taskfleet.releases import checking, rolling
from taskfleet.releases.actions import Action, FailGate, Move, PassGate, SendCheck, SendGate
from taskfleet.releases.before import towards_gating
from taskfleet.releases.model import TAKES_ROOM, Record, State
from taskfleet.releases.observation import UNKNOWN_WORK, Memory, Observation, Rules
from taskfleet.releases.room import make_room, no_room
from taskfleet.releases.unmade import may_be_left


def towards_current(record: Record, seen: Observation, memory: Memory, rules: Rules) -> Iterator[Action]:
    """What a registered, gating or failed release needs next."""
    name = record.release
    if seen.manifests is not None and name not in seen.manifests:
        # Nobody looks into a retired release any more: what is not known to be empty is not retired.
        if seen.left.get(name, UNKNOWN_WORK).total == 0 and not may_be_left(record, seen):
            yield Move(name, State.RETIRED, gone(record))
    elif other_image(record, seen):
        if record.state is not State.FAILED:
            yield Move(name, State.FAILED, reused(record, seen))
    elif record.state is State.FAILED:
        # The stack of one whose deploy was told so is being deleted.
        if not record.deployment and _proven(record, seen, rules):
            yield Move(name, State.GATING, "its gate tasks ran after all")
    elif record.state is State.REGISTERED and (too_many := _too_many(record, seen)):
        yield Move(name, State.FAILED, too_many)
    elif record.state is State.REGISTERED:
        yield from towards_gating(record, seen)
    elif record.gate_passed_at is None:
        yield from gating(record, seen, memory, rules)


def _too_many(record: Record, seen: Observation) -> str | None:
    """Why there is no room for it beside those that were there before, or None."""
    order = (record.registered_at, record.release)
    others = [
        other
        for other in seen.records.values()
        if other.state in TAKES_ROOM and (other.registered_at, other.release) < order
    ]
    most = record.manifest.max_live_releases
    if most is None or (why := no_room(others, most)) is None:
        return None
    return f"{why}: make room ({make_room(others) or 'wait until one has drained'}), then deploy it again"


def gating(record: Record, seen: Observation, memory: Memory, rules: Rules) -> Iterator[Action]:
    """Send what is missing, and say how it ended."""
    missing: list[SendGate | SendCheck] = [
        *missing_gates(record, seen, rules),
        *checking.unbegun(record, seen),
    ]
    if _proven(record, seen, rules) and _every_pool_runs(record, seen):
        yield PassGate(record.release, _took(record, seen, rules))
    elif (failure := checking.failure(record, seen)) is not None:
        yield _fail(record, failure)
    elif _too_late(record, missing, seen, memory, rules):
        waits: list[SendGate | SendCheck] = [*missing, *checking.unfinished(record, seen)]
        lacking = _lacking(record, waits, seen, memory) or "a live worker in each pool"
        reason = f"within {rules.gate_deadline_seconds:g} s there was no proof from {lacking}"
        yield _fail(record, reason)
    else:
        yield from (gate for gate in missing if _due(gate, record, seen, memory, rules))


def _fail(record: Record, reason: str) -> Move | FailGate:
    """The current release stays current: there is no other."""
    if record.state is State.CURRENT:
        return FailGate(record.release, reason)
    return Move(record.release, State.FAILED, reason)


def _proven(record: Record, seen: Observation, rules: Rules) -> bool:
    """Whether all of its gate tasks and checks have run, and ended well."""
    missing = [*missing_gates(record, seen, rules), *checking.unfinished(record, seen)]
    return not missing and beat_ticks(record, seen) and checking.failure(record, seen) is None


def beat_ticks(record: Record, seen: Observation) -> bool:
    """Whether its beat, if it has one, has begun to tick: its schedule can be read.

    That of the current release fires instead, and ECS has seen that it stays up.
    """
    if not record.manifest.beat or record.state is State.CURRENT:
        return True
    return seen.proofs.get(keys.gate_beat(record.release), 0.0) >= record.registered_at


def _lacking(record: Record, missing: list[SendGate | SendCheck], seen: Observation, memory: Memory) -> str:
    """The queues without proof, the checks without end, and why a broker took no task for them."""
    named = dict.fromkeys(
        f"{gate.queue} ({gate.broker})" if isinstance(gate, SendGate) else f"its gate {gate.task}"
        for gate in missing
    )
    without = ", ".join([*named, *([] if beat_ticks(record, seen) else ["its beat"])])
    refused = {gate.broker: memory.gates_refused.get(gate.key) for gate in missing}
    return "; ".join(
        [without, *(f"{broker} took no gate task: {why}" for broker, why in refused.items() if why)]
    )


def _took(record: Record, seen: Observation, rules: Rules) -> tuple[tuple[str, float], ...]:
    """Seconds from the gate's begin to the last proof of each broker, and to the end of each check."""
    by_broker = (
        (broker, max(seen.proofs[gate.key] for gate in wanted(record, (broker,))))
        for broker in rules.gate_brokers
    )
    ends = (*by_broker, *checking.ends(record, seen))
    return tuple((what, round(max(0.0, at - record.since), 1)) for what, at in ends)


def _too_late(
    record: Record, missing: list[SendGate | SendCheck], seen: Observation, memory: Memory, rules: Rules
) -> bool:
    """Whether its time is up. A controller that was away meanwhile first sends what is missing once more.

    What can't even be sent, since its broker is away, ends at twice the time.
    """
    took = seen.now - record.since
    if took <= rules.gate_deadline_seconds:
        return False
    sent = (memory.gates_sent.get(gate.key, math.inf) for gate in missing)
    had_their_time = all(seen.now - at >= rules.gate_resend_seconds for at in sent)
    return had_their_time or took > 2 * rules.gate_deadline_seconds


def _due(gate: SendGate | SendCheck, record: Record, seen: Observation, memory: Memory, rules: Rules) -> bool:
    sent = memory.gates_sent.get(gate.key)
    # One that was sent before this gating began belongs to an earlier deployment of the id.
    return sent is None or sent < record.since or seen.now - sent >= rules.gate_resend_seconds


def missing_gates(record: Record, seen: Observation, rules: Rules) -> list[SendGate]:
    """The gate tasks that have not run since this deployment of the release was registered."""
    return [
        gate
        for gate in wanted(record, rules.gate_brokers)
        if seen.proofs.get(gate.key, 0.0) < record.registered_at
    ]


def wanted(record: Record, brokers: tuple[str, ...]) -> Iterator[SendGate]:
    """All gate tasks of a release, and of its build."""
    release, build = record.release, record.manifest.build or ""
    return (SendGate(release, queue, broker, build) for broker in brokers for queue in record.manifest.queues)


def _every_pool_runs(record: Record, seen: Observation) -> bool:
    """A pool that may sleep at zero has shown by its gate task that it wakes."""
    if seen.running is None:
        return False
    return all(
        pool.min_workers == 0 or seen.running.get((pool.name, record.release), 0) >= 1
        for pool in record.manifest.pools
    )


def other_image(record: Record, seen: Observation) -> bool:
    """Whether the release's stack now runs another image than the one that was recorded, and must not."""
    deployed = (seen.manifests or {}).get(record.release)
    if deployed is not None and deployed.build is not None:
        return rolling.refusal(record, seen) is not None
    return deployed is not None and deployed.image != record.image


def reused(record: Record, seen: Observation) -> str:
    """What to tell a person about `other_image`."""
    if (refused := rolling.refusal(record, seen)) is not None:
        return refused
    other = (seen.manifests or {})[record.release].image
    return (
        f"release id {record.release} is taken by the image {record.image} and was deployed again with "
        f"{other}: an id is never reused; deploy the new image under its own id"
    )


def gone(record: Record) -> str:
    """Why a release is retired."""
    return (
        f"its stack was deleted, as {record.retiring} asked" if record.retiring else "its stack was deleted"
    )
