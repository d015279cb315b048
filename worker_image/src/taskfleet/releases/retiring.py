"""From drained to gone: warm for a while, then asleep at zero, then without a stack. Pure.

Nothing is deleted that was not seen empty after both brokers had refused publishes to it for long enough.
"""

from __future__ import annotations

from collections.abc import Iterator

from taskfleet.contract import names
from taskfleet.releases.actions import Action, Delete, DiscardGates, Move, Park, Retire, Sleep, WakeBeat
from taskfleet.releases.model import BY_ITSELF, Record, State
from taskfleet.releases.observation import UNKNOWN_WORK, Memory, Observation, Rules
from taskfleet.releases.unmade import is_left

# Where work may be that nobody has asked to park: never deleted.
_AT_WORK = frozenset({State.CURRENT, State.CANARY, State.DRAINING})


def has_failed_for_good(record: Record) -> bool:
    """Failed, and its deploy was told so: only another deploy begins it anew."""
    return record.state is State.FAILED and bool(record.deployment) and record.deployed


def wants_no_worker(record: Record) -> bool:
    """Whether its services are kept at zero, whatever waits in its queues."""
    parks = record.parking and record.closed_at is not None
    return record.state is State.ASLEEP or has_failed_for_good(record) or parks


def resting(record: Record, seen: Observation, memory: Memory, rules: Rules) -> Iterator[Action]:
    """What a release that is of no more use does by itself; nothing while a person has paused it."""
    if not _stands(record, seen) or seen.pointer.release == record.release:
        return
    warm, total = record.manifest.warm_seconds, seen.left.get(record.release, UNKNOWN_WORK).total
    needed = any(other.goes_back_to == record.release for other in seen.records.values())
    if record.state is State.DRAINED and total == 0 and _over(record, seen, warm) and not needed:
        yield Move(record.release, State.ASLEEP, f"it was warm for {warm} s; its workers sleep now")
    # What is not known to be empty may be at work, unless it has failed or is being parked.
    quiet = total == 0 or record.state is not State.ASLEEP
    if quiet and _over(record, seen, kept_seconds(record)):
        yield Retire(record.release, BY_ITSELF)
    if quiet and wants_no_worker(record):
        yield from _sleep(record, seen)
    yield from _towards_deleted(record, seen, memory, rules)


def beat(record: Record, seen: Observation) -> Iterator[Action]:
    """A release's beat sleeps when its workers do, and is awake when they may be."""
    wanted = (seen.beats or {}).get(record.release)
    if wanted is None or not _stands(record, seen):
        return
    if wants_no_worker(record) and wanted:
        yield Sleep(record.release, (names.beat_service(record.release),))
    elif not wanted and not wants_no_worker(record) and record.state is not State.FAILED:
        yield WakeBeat(record.release)


def stuck(record: Record, seen: Observation, rules: Rules) -> Iterator[str]:
    """Why a release that is to be deleted is not yet, long after it might have been."""
    if record.retiring is None or record.closed_at is None or not _stands(record, seen):
        return
    if seen.now - record.closed_at < rules.settle_seconds + rules.delete_again_seconds:
        return
    left, name = seen.left.get(record.release, UNKNOWN_WORK), record.release
    if left.total == 0:
        yield (
            f"the stack of release {name} is not deleted yet, as {record.retiring} asked: see why in "
            "CloudFormation's events of it"
        )
    else:
        yield (
            f"release {name} is not deleted, as {record.retiring} asked, since it is not empty ({left}): let "
            f"its workers finish, or `fleet release retire {name} --park --yes`"
        )


def _stands(record: Record, seen: Observation) -> bool:
    """Whether its stack is known to exist."""
    return record.release in (seen.manifests or {}) or is_left(record, seen)


def _over(record: Record, seen: Observation, seconds: int | None) -> bool:
    return (
        seconds is not None
        and record.paused is None
        and record.retiring is None
        and seen.now - record.since > seconds
    )


def kept_seconds(record: Record) -> int | None:
    if has_failed_for_good(record):
        return record.manifest.keep_failed_seconds
    return record.manifest.delete_after_seconds if record.state is State.ASLEEP else None


def _sleep(record: Record, seen: Observation) -> Iterator[Action]:
    services = (seen.awake or {}).get(record.release, ())
    if services:
        yield Sleep(record.release, services)


def _towards_deleted(record: Record, seen: Observation, memory: Memory, rules: Rules) -> Iterator[Action]:
    left = seen.left.get(record.release, UNKNOWN_WORK)
    if record.closed_at is None:
        return
    if record.parking and left.total != 0:
        yield Park(record.release)
    elif not record.served and left.fallback != 0:
        # Gate tasks, which nobody will run: they would wake its workers again and again.
        yield DiscardGates(record.release)
    settled = seen.now > record.closed_at + rules.settle_seconds
    if record.retiring is None or record.state in _AT_WORK or not settled or left.total != 0:
        return
    if seen.now - memory.deletes_asked.get(record.release, 0.0) > rules.delete_again_seconds:
        yield Delete(record.release)
