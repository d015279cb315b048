"""When a release takes no publishes any more. Pure: first it is closed, then what is left is looked at."""

from __future__ import annotations

from collections.abc import Iterator

from taskfleet.errors import ReleaseError
from taskfleet.releases.actions import Action, Close, Reopen
from taskfleet.releases.model import Record
from taskfleet.releases.observation import Observation, RemainingWork
from taskfleet.releases.retiring import has_failed_for_good


def closing(record: Record, seen: Observation) -> Iterator[Action]:
    """Close one that is being retired, that failed, or whose stack is gone; never one that is published to.

    At every look: a broker may lose what it was told, in a failover.
    """
    if record.release in (seen.pointer.release, seen.pointer.canary):
        if record.closed_at is not None:  # by a controller that had stood still
            yield Reopen(record.release)
        return
    gone = seen.manifests is not None and record.release not in seen.manifests
    if record.retiring or gone or has_failed_for_good(record):
        yield Close(record.release)
    elif seen.manifests is not None and record.closed_at is not None:
        yield Reopen(record.release)


def may_be_deleted(
    record: Record, left: RemainingWork | None, *, seen_at: float, settle_seconds: float
) -> bool:
    """Whether a closed release was seen empty, at ``seen_at``; False: look again.

    ``settle_seconds`` after its closing, in which the policy and the counts of SQS' queues settle.
    `ReleaseError` if work is left.
    """
    if record.closed_at is None or seen_at <= record.closed_at + settle_seconds:
        return False
    if left is None or left.total is None:
        return False
    if left.total and record.parking:
        return False
    if left.total:
        raise ReleaseError(
            f"release {record.release} can't be deleted, work is left in it: {left}. Nothing is published to "
            "it any more; let its workers finish (`fleet scale`, if none runs), then run this again"
        )
    return True
