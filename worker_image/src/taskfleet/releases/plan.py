"""What to do about releases: a pure function of what was seen, asked anew at every look.

Unknown is never zero: what did not answer is None, and nothing is drained, retired or promoted on a
None. Every action can be done twice, so a look that was cut short is made good by the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from taskfleet.releases import bake, unmade
from taskfleet.releases.actions import Action, Delete, Move, Publish, Register, Renew, SendCheck, SendGate
from taskfleet.releases.answering import answering, next_current, promotion
from taskfleet.releases.canary import canary
from taskfleet.releases.closing import closing
from taskfleet.releases.draining import MAY_DRAIN, consecutive_empty_looks, late, overdue, towards_retired
from taskfleet.releases.gating import gating, other_image, reused, towards_current
from taskfleet.releases.model import LIVE, Record, State
from taskfleet.releases.observation import UNKNOWN_WORK, Memory, Observation, Rules
from taskfleet.releases.retiring import beat, resting, stuck
from taskfleet.releases.rolling import in_gate, other_build, rolling


@dataclass(frozen=True)
class Plan:
    """What to do now, what to remember, which drains are late, and what a person should know."""

    actions: tuple[Action, ...]
    memory: Memory
    overdue: tuple[str, ...]
    problems: tuple[str, ...]


def plan(seen: Observation, memory: Memory, rules: Rules = Rules()) -> Plan:  # noqa: B008 - frozen
    """The plan for what was seen."""
    seen = unmade.made_after_all(seen)
    live = sorted((r for r in seen.records.values() if r.state in LIVE), key=lambda r: (r.since, r.release))
    counted = {r.release: consecutive_empty_looks(r, seen, memory) for r in live if r.state in MAY_DRAIN}
    remembered = replace(memory, consecutive_empty_looks=counted)
    answers = [action for _, record in sorted(seen.records.items()) for action in answering(record, seen)]
    moved = {action.release for action in answers if isinstance(action, Move)}
    overtakes = next_current(seen, live)
    actions = (
        *_registrations(seen),
        *answers,
        *(
            action
            for r in live
            if r.release not in moved
            for action in _steps(r, seen, remembered, rules, overtakes)
        ),
        *_pointer(seen, live),
    )
    sent = {gate.key: seen.now for gate in actions if isinstance(gate, SendGate | SendCheck)}
    asked = {action.release: seen.now for action in actions if isinstance(action, Delete)}
    return Plan(
        actions=actions,
        memory=Memory(
            consecutive_empty_looks=counted,
            gates_sent={**memory.gates_sent, **sent},
            deletes_asked={**memory.deletes_asked, **asked},
            gates_refused={key: why for key, why in memory.gates_refused.items() if key not in sent},
        ),
        overdue=tuple(record.release for record in live if overdue(record, seen.now)),
        problems=tuple(_problems(seen, live, rules)),
    )


def _registrations(seen: Observation) -> Iterator[Action]:
    for release, manifest in sorted((seen.manifests or {}).items()):
        record = seen.records.get(release)
        if record is None:
            yield Register(manifest)
        elif record.state is State.RETIRED and other_build(record, seen):
            yield from rolling(record, seen)
        elif record.state is State.RETIRED and record.image == manifest.image:
            yield Move(release, State.REGISTERED, "the same image was deployed again")
    yield from unmade.found(seen)


def _steps(
    record: Record, seen: Observation, memory: Memory, rules: Rules, overtakes: Record | None
) -> Iterator[Action]:
    deployed = (seen.manifests or {}).get(record.release, record.manifest)
    if rolls := list(rolling(record, seen)):
        yield from rolls
        return
    same = deployed.image == record.image and deployed.build == record.manifest.build
    if same and deployed != record.manifest and not _removed(record, seen):
        yield Renew(deployed)
    yield from closing(record, seen)
    yield from beat(record, seen)
    if record.state in MAY_DRAIN:
        moves = list(towards_retired(record, seen, memory.consecutive_empty_looks[record.release], rules))
        yield from moves or resting(record, seen, memory, rules)
    elif record.state is State.CANARY:
        yield from canary(record, seen, rules, overtakes)
    elif record.state is not State.CURRENT:
        moves = list(towards_current(record, seen, memory, rules))
        yield from moves or resting(record, seen, memory, rules)
    elif seen.pointer.release != record.release:
        yield Move(record.release, State.DRAINING, f"release {seen.pointer.release} became current")
    elif in_gate(record) and record.gate_failed is None:
        yield from gating(record, seen, memory, rules)
    else:
        yield from bake.bake(record, seen)


def _removed(record: Record, seen: Observation) -> list[str]:
    """Queues that its stack has no more. What waits in them must not be forgotten: the record keeps them."""
    deployed = (seen.manifests or {}).get(record.release, record.manifest)
    return sorted(set(record.manifest.queues) - set(deployed.queues))


def _pointer(seen: Observation, live: list[Record]) -> Iterator[Action]:
    """What becomes current by itself; until then the published copy follows the record."""
    promoted = tuple(promotion(seen, live))
    yield from promoted
    if promoted or seen.pointer.version == 0:
        return
    if seen.published is not None and seen.published != seen.pointer.to_publish:
        yield Publish(seen.pointer.release)


def _problems(seen: Observation, live: list[Record], rules: Rules) -> Iterator[str]:
    for record in live:
        if record.state is not State.FAILED and other_image(record, seen):
            yield reused(record, seen)
        if record.manifest.build is None and (removed := _removed(record, seen)):
            yield (
                f"release {record.release} was deployed again without its queues {', '.join(removed)}: "
                "nothing runs what is in them, nor what running producers still publish to them. Deploy it "
                "with them, and the set without them under a new release id; then it drains as any other"
            )
        if overdue(record, seen.now):
            yield late(record, seen)
        vanished = seen.manifests is not None and record.release not in seen.manifests
        left = seen.left.get(record.release, UNKNOWN_WORK)
        if vanished and (record.state in (State.CURRENT, State.CANARY, State.DRAINING) or left.total != 0):
            yield (
                f"release {record.release} is {record.state} and its stack is gone: nothing runs its tasks "
                f"({left}); deploy it again, or promote another release"
            )
        if record.gate_failed is not None:
            yield (
                f"build {record.manifest.build} of release {record.release} runs without its gate passed: "
                f"{record.gate_failed}. Deploy the build before it, or one that is mended"
            )
        yield from unmade.problem(record, seen)
        yield from stuck(record, seen, rules)
        yield from bake.stuck(record, seen)
    if seen.pointer.version and seen.pointer.release not in seen.records:
        yield f"the current release {seen.pointer.release} has no record: promote a release that exists"
