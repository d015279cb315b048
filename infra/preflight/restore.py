"""Which broker a deploy leaves: the one that is there, or another that begins with a snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from taskfleet.contract import names, parameters

from infra.preflight.account import unknown
from infra.preflight.finding import Finding, State
from infra.settings import Settings

_PAGE = "docs/restore.md"
_GONE = {"ReplicationGroupNotFoundFault", "SnapshotNotFoundFault"}


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One that ElastiCache has. ``taken`` is when, as text."""

    status: str = "available"
    engine: str
    version: str
    node_type: str
    taken: str


@dataclass(frozen=True, kw_only=True)
class Seen:
    """``deployed`` is the group that the last deploy left, ``began_with`` its snapshot; None: it has none.

    ``there`` says whether that group exists, ``taken_name`` whether one of the wanted name does already.
    """

    deployed: str | None = None
    began_with: str | None = None
    there: bool = True
    taken_name: bool = False
    snapshot: Snapshot | None = None
    others: tuple[str, ...] = ()  # names of snapshots that could be meant


def broker(settings: Settings, session: boto3.Session) -> Iterator[Finding]:
    """Ask AWS, and judge."""
    try:
        yield judge(settings, look(settings, session.client("ssm"), session.client("elasticache")))
    except (BotoCoreError, ClientError) as error:
        yield unknown("broker", error)


def judge(settings: Settings, seen: Seen) -> Finding:
    """Whether the deploy keeps the broker, or may make another. Pure."""
    wanted, snapshot = settings.broker_group, settings.broker.restore_from_snapshot
    if wanted == seen.deployed:
        return _kept(settings, seen)
    if snapshot is None:
        return _emptied(seen) if seen.began_with else _finding(State.OK, f"{wanted}, which begins empty")
    if seen.taken_name:
        return _finding(
            State.MISSING,
            f"there is a {wanted} already, from another restore of {snapshot}",
            f"`aws elasticache delete-replication-group --replication-group-id {wanted}`, or copy the "
            "snapshot (`aws elasticache copy-snapshot`) and set the copy's name",
        )
    if seen.snapshot is None:
        return _finding(
            State.MISSING,
            f"there is no snapshot {snapshot} in {settings.region}",
            f"restore_from_snapshot: one of {_listed(seen.others)}",
        )
    return _unusable(settings, seen.snapshot) or _made(settings, seen, seen.snapshot)


def _kept(settings: Settings, seen: Seen) -> Finding:
    began = f", restored from {seen.began_with}" if seen.began_with else ""
    if seen.there:
        return _finding(State.OK, f"{seen.deployed} stays{began}")
    return _finding(
        State.LOOK,
        f"{seen.deployed} is gone, and a deploy does not make it again",
        f"set Broker(restore_from_snapshot=…) to one of {_listed(seen.others)} ({_PAGE})",
    )


def _emptied(seen: Seen) -> Finding:
    return _finding(
        State.MISSING,
        f"{seen.deployed} was restored from a snapshot, and without restore_from_snapshot an empty one would "
        "take its place",
        f'set Broker(restore_from_snapshot="{seen.began_with}") again, and leave it in: '
        f"it changes nothing while that broker is there ({_PAGE})",
    )


def _unusable(settings: Settings, found: Snapshot) -> Finding | None:
    """Why ElastiCache would refuse to restore it."""
    name, wanted = settings.broker.restore_from_snapshot, settings.broker
    if found.status != "available":
        return _finding(State.MISSING, f"the snapshot {name} is {found.status}", "wait until it is available")
    if found.engine == "valkey" and wanted.engine.value != "valkey":
        return _finding(
            State.MISSING, f"the snapshot {name} is of Valkey, not of Redis", "engine=Engine.VALKEY"
        )
    if found.engine == wanted.engine.value and _number(found.version) > _number(wanted.engine_version):
        return _finding(
            State.MISSING,
            f"the snapshot {name} is of version {found.version}, newer than {wanted.engine_version}",
            f'engine_version="{".".join(found.version.split(".")[:2])}" or later',
        )
    return None


def _made(settings: Settings, seen: Seen, snapshot: Snapshot) -> Finding:
    """It can be, and somebody should know what it does."""
    begins = (
        f"{settings.broker_group} is made, with what was queued at {snapshot.taken} "
        f"(from a {snapshot.node_type})"
    )
    if seen.deployed is None:
        return _finding(State.LOOK, begins, f"what is in it runs again: {_PAGE}")
    fate = (
        "stays beside it until you delete it, and takes what producers send that still know its address"
        if settings.keep_data
        else "is deleted with all that it holds, since keep_data is off"
    )
    return _finding(State.LOOK, begins, f"{seen.deployed} {fate}: {_PAGE}")


def look(settings: Settings, ssm: Any, elasticache: Any) -> Seen:
    """How it stands in the account."""
    deployed, began_with = _deployed(settings, ssm, elasticache)
    wanted, snapshot = settings.broker_group, settings.broker.restore_from_snapshot
    missing = deployed is not None and not _exists(elasticache, deployed)
    asks_for_another = snapshot is not None and wanted != deployed
    return Seen(
        deployed=deployed,
        began_with=began_with,
        there=not missing,
        taken_name=asks_for_another and _exists(elasticache, wanted),
        snapshot=_snapshot(elasticache, str(snapshot)) if asks_for_another else None,
        others=_snapshots(elasticache, settings.name) if asks_for_another or missing else (),
    )


def _deployed(settings: Settings, ssm: Any, elasticache: Any) -> tuple[str | None, str | None]:
    """The broker that the last deploy left, and the snapshot that it began with."""
    wanted = {parameters.base(settings.name, name): name for name in ("broker-group", "broker-snapshot")}
    found = ssm.get_parameters(Names=[*wanted])["Parameters"]
    said = {wanted[one["Name"]]: str(one["Value"]) for one in found}
    if group := said.get("broker-group"):
        snapshot = said.get("broker-snapshot", parameters.NO_SNAPSHOT)
        return group, None if snapshot == parameters.NO_SNAPSHOT else snapshot
    # Deployed by a version that did not say so, or not at all.
    plain = names.broker(settings.name)
    return (plain, None) if _exists(elasticache, plain) else (None, None)


def _exists(elasticache: Any, group: str) -> bool:
    found = _found(
        lambda: elasticache.describe_replication_groups(ReplicationGroupId=group)["ReplicationGroups"]
    )
    return any(one["ReplicationGroupId"] == group for one in found)


def _snapshot(elasticache: Any, name: str) -> Snapshot | None:
    found = _found(lambda: elasticache.describe_snapshots(SnapshotName=name)["Snapshots"])
    for one in found:
        times = [node["SnapshotCreateTime"] for node in one.get("NodeSnapshots", ())]
        return Snapshot(
            status=one["SnapshotStatus"],
            engine=one["Engine"],
            version=one["EngineVersion"],
            node_type=one["CacheNodeType"],
            taken=f"{min(times):%Y-%m-%d %H:%M} UTC" if times else "a time that ElastiCache does not say",
        )
    return None


def _snapshots(elasticache: Any, environment: str) -> tuple[str, ...]:
    """Of this environment's brokers, the newest name last."""
    prefix = names.broker(environment)
    return tuple(
        sorted(
            one["SnapshotName"]
            for page in elasticache.get_paginator("describe_snapshots").paginate()
            for one in page["Snapshots"]
            if (one.get("ReplicationGroupId") or one.get("CacheClusterId") or "").startswith(prefix)
        )
    )


def _found(ask: Any) -> list[Any]:
    try:
        return list(ask())
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return []
        raise


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _listed(snapshots: tuple[str, ...]) -> str:
    return ", ".join(snapshots) or "(the account has none of this environment's)"


def _finding(state: State, found: str, then: str = "") -> Finding:
    return Finding(what="broker", state=state, found=found, then=then)
