"""The team's own checks of a release (`taskfleet.gate`): which are to be run, and how they ended. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from taskfleet.releases.actions import SendCheck
from taskfleet.releases.model import Record
from taskfleet.releases.observation import Check, Observation, Verdict

# From a check's time-out until nobody expects it to say more: its process has ended then.
GRACE_SECONDS = 30.0


def registration(record: Record) -> str:
    """What names one deployment of a release, as the state table keeps it."""
    return f"{record.registered_at:.3f}"


def verdict(record: Record, check: Check, seen: Observation) -> Verdict | None:
    """How far a check of this deployment is; None: nobody has begun it."""
    found = seen.verdicts.get(_send(record, check).key)
    return found if found is not None and found.registered == registration(record) else None


def failure(record: Record, seen: Observation) -> str | None:
    """Why a check has failed, or None."""
    for check in seen.checks.get(record.release, ()):
        pools = {pool.name: pool for pool in record.manifest.pools}
        if check.pool and check.pool not in pools:
            return (
                f"its gate {check.task} names the pool {check.pool!r}, and the release has {', '.join(pools)}"
            )
        found = verdict(record, check, seen)
        if found is None:
            continue
        if found.ended is None and seen.now - found.begun > check.timeout_seconds + GRACE_SECONDS:
            return f"its gate {check.task} ran for longer than its {check.timeout_seconds} s"
        if found.ended is not None and found.failure:
            return f"its gate {check.task} failed: {found.failure}"
    return None


def unfinished(record: Record, seen: Observation) -> list[SendCheck]:
    """The checks that have not ended."""
    checks = seen.checks.get(record.release, ())
    return [_send(record, check) for check in checks if _lasts(record, check, seen)]


def unbegun(record: Record, seen: Observation) -> list[SendCheck]:
    """Those of them that nobody has begun."""
    return [
        _send(record, check)
        for check in seen.checks.get(record.release, ())
        if verdict(record, check, seen) is None
    ]


def ends(record: Record, seen: Observation) -> Iterator[tuple[str, float]]:
    """When each check ended that has, in seconds since the epoch."""
    for check in seen.checks.get(record.release, ()):
        found = verdict(record, check, seen)
        if found is not None and found.ended is not None:
            yield check.task, found.ended


def _lasts(record: Record, check: Check, seen: Observation) -> bool:
    found = verdict(record, check, seen)
    return found is None or found.ended is None


def _send(record: Record, check: Check) -> SendCheck:
    manifest = record.manifest
    pools = {pool.name: pool for pool in manifest.pools}
    default = next((p for p in manifest.pools if manifest.default_queue in p.queues), manifest.pools[0])
    pool = pools.get(check.pool, default)
    queue = manifest.default_queue if pool is default and manifest.default_queue in pool.queues else None
    return SendCheck(
        release=record.release,
        queue=queue or pool.queues[0],
        task=check.task,
        registered=registration(record),
        timeout_seconds=check.timeout_seconds,
    )
