"""What a deploy is told, and which release is promoted then. Pure.

CloudFormation waits in each release's stack until the controller answers. Only an answered release is
promoted: any other would lose its stack, current or not, when CloudFormation's time for it ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from taskfleet.contract.limits import ANSWER_WITHIN_SECONDS
from taskfleet.contract.manifest import AUTOMATIC
from taskfleet.releases import commands
from taskfleet.releases.actions import Action, Answer, Await, Move, Promote, StartCanary
from taskfleet.releases.bake import bakes
from taskfleet.releases.gating import other_image, reused
from taskfleet.releases.model import Pointer, Record, State
from taskfleet.releases.observation import Observation
from taskfleet.releases.rolling import of_another_build

# An answer in the last moment might come to a stack that CloudFormation is deleting already.
_LAST_MOMENT_SECONDS = 60


def answering(record: Record, seen: Observation) -> Iterator[Action]:
    """Note the deployment of a release, and answer it once it has ended."""
    deployment = (seen.deployments or {}).get(record.release)
    if deployment is None or deployment.id == record.answered:
        return
    if of_another_build(deployment, record) and not other_image(record, seen):
        return
    if seen.manifests is not None and record.release not in seen.manifests:
        return  # of a stack that is being made or deleted
    if deployment.id != record.deployment:
        yield Await(record.release, deployment.id)
        if record.state is State.FAILED and not other_image(record, seen):
            yield Move(record.release, State.REGISTERED, "its stack was deployed again")
        return
    if deployment.id == record.kept:
        yield Answer(record.release, deployment.id, None, False, "CloudFormation has gone back to it")
        return
    if seen.now - deployment.since > ANSWER_WITHIN_SECONDS - _LAST_MOMENT_SECONDS:
        if record.state in (State.REGISTERED, State.GATING):
            yield Move(record.release, State.FAILED, "its deploy ended before its gate had passed")
        else:
            yield Answer(record.release, deployment.id, None, False, "nobody waits for it any more")
        return
    answer = _answer(record, seen)
    if answer is not None:
        yield Answer(record.release, deployment.id, deployment.url, *answer)


def _answer(record: Record, seen: Observation) -> tuple[bool, str] | None:
    """Success or not, and why; None: not yet."""
    name = record.release
    if other_image(record, seen):
        return False, reused(record, seen)
    if record.state is State.FAILED:
        return False, f"release {name} failed: {record.history[-1].reason}"
    if record.gate_failed is not None and record.state is State.CURRENT:
        build = f"build {record.manifest.build} of release {name}"
        return False, f"{build} has not passed its gate: {record.gate_failed}"
    if record.state is not State.GATING:
        return (True, f"release {name} is {record.state}") if record.gate_passed_at else None
    if record.gate_passed_at is None:
        return None
    if record.manifest.promotion != AUTOMATIC and seen.pointer.version:
        promote = f"fleet release promote {name} --yes"
        return True, f"the gate of release {name} has passed: `{promote}` makes it current"
    if record.paused is not None:
        resume = f"fleet release resume {name} --yes"
        return True, f"the gate of release {name} has passed, and {record.paused} has paused it: `{resume}`"
    if not newer(record, seen.records, seen.pointer):
        return False, f"release {seen.pointer.release} became current meanwhile, so release {name} does not"
    after = " after its canary" if commands.has_canary(record, seen.pointer) else ""
    return True, f"the gate of release {name} has passed: it becomes current{after}"


def promotion(seen: Observation, live: list[Record]) -> Iterator[Action]:
    """The release that becomes current by itself: the environment's first, then the newest that may.

    Not beside another one's canary: that of an older one ends for it (`taskfleet.releases.canary`).
    """
    if seen.pointer.version == 0:
        first = _ready(seen, live)[:1]
        yield from (Promote(one.release, "the first release of the environment") for one in first)
        return
    newest = next_current(seen, live)
    if newest is None or seen.pointer.split is not None:
        return
    start = StartCanary if commands.has_canary(newest, seen.pointer) else Promote
    yield start(newest.release, "its gate has passed")


def next_current(seen: Observation, live: list[Record]) -> Record | None:
    """The newest release that may become current by itself; none while the current one bakes.

    What is gone back to if a release fails must not be one that may fail itself.
    """
    current = seen.records.get(seen.pointer.release)
    if current is not None and bakes(current):
        return None
    automatic = [
        record
        for record in _ready(seen, live)
        if record.manifest.promotion == AUTOMATIC and newer(record, seen.records, seen.pointer)
    ]
    return max(automatic, key=lambda record: record.registered_at, default=None)


def _ready(seen: Observation, live: list[Record]) -> list[Record]:
    return [
        r
        for r in live
        if r.state is State.GATING
        and r.ready
        and r.paused is None
        and r.closed_at is None
        and _stays(r, seen)
    ]


def _stays(record: Record, seen: Observation) -> bool:
    """Whether it is known that its stack exists, and that no deploy of it waits."""
    if record.release not in (seen.manifests or {}) or seen.deployments is None:
        return False
    deployment = seen.deployments.get(record.release)
    return (deployment.id if deployment else "") == record.answered


def newer(record: Record, records: Mapping[str, Record], pointer: Pointer) -> bool:
    """Whether it was deployed after the current release, or after somebody went back to that one."""
    current = records.get(pointer.release)
    if current is None:
        return pointer.version == 0
    since = pointer.at if commands.gone_back_to(current) else current.registered_at
    return record.registered_at > since
