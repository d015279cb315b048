"""Records as DynamoDB items and back. Times are numbers: seconds since the epoch."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from taskfleet.contract import state as keys
from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.contract.split import Split
from taskfleet.releases.model import Before, Change, Pointer, Record, State
from taskfleet.releases.observation import Check, Verdict

Item = dict[str, Any]

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


def wire(plain: Item) -> Item:
    """What boto3's DynamoDB client wants, from plain values. None is left out."""
    return {name: _serialize(_no_floats(value)) for name, value in plain.items() if value is not None}


def plain(item: Item) -> Item:
    """Plain values from what boto3's DynamoDB client gives. Numbers stay ``Decimal``."""
    return {name: _deserialize(value) for name, value in item.items()}


def _no_floats(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(f"{value:.3f}")
    if isinstance(value, list):
        return [_no_floats(each) for each in value]
    if isinstance(value, dict):
        return {name: _no_floats(each) for name, each in value.items()}
    return value


def from_record(record: Record) -> Item:
    """The item of a release.

    One in its canary is written as draining, too: a controller of the version before, which an update that is
    rolled back brings again, knows no such state, and lets it drain.
    """
    canary = record.state is State.CANARY
    return {
        keys.KEY: keys.release(record.release),
        "release": record.release,
        "state": str(State.DRAINING if canary else record.state),
        "canary": canary or None,
        "version": record.version,
        "digest": record.image,
        "manifest": record.manifest.to_json(),
        "since": record.since,
        "gate_passed_at": record.gate_passed_at,
        "gate_took": dict(record.gate_took),
        "retiring": record.retiring,
        "parking": record.parking or None,
        "paused": record.paused,
        "closed_at": record.closed_at,
        "deployment": record.deployment,
        "answered": record.answered,
        "before": None if record.before is None else {"task": record.before.task, "at": record.before.at},
        "gate_failed": record.gate_failed,
        "kept": record.kept or None,
        "rejected": record.rejected,
        "goes_back_to": record.goes_back_to,
        "history": [_from_change(change) for change in record.history],
    }


def _from_change(change: Change) -> Item:
    moved = {"from": str(change.before), "to": str(change.after)}
    return {"at": change.at, "actor": change.actor, "reason": change.reason, **moved}


def to_record(item: Item) -> Record:
    """What `from_record` wrote."""
    passed, closed, before = item.get("gate_passed_at"), item.get("closed_at"), item.get("before")
    return Record(
        release=item["release"],
        image=item["digest"],
        manifest=ReleaseManifest.from_json(item["manifest"]),
        state=State.CANARY if item.get("canary") else State(item["state"]),
        since=float(item["since"]),
        version=int(item["version"]),
        gate_passed_at=None if passed is None else float(passed),
        gate_took=tuple((broker, float(took)) for broker, took in sorted(item.get("gate_took", {}).items())),
        closed_at=None if closed is None else float(closed),
        retiring=item.get("retiring"),
        parking=item.get("parking", False),
        paused=item.get("paused"),
        deployment=item.get("deployment", ""),
        answered=item.get("answered", ""),
        before=None if before is None else Before(before["task"], float(before["at"])),
        gate_failed=item.get("gate_failed"),
        kept=item.get("kept", ""),
        rejected=item.get("rejected"),
        goes_back_to=item.get("goes_back_to"),
        history=tuple(
            Change(at=float(c["at"]), actor=c["actor"], reason=c["reason"], before=c["from"], after=c["to"])
            for c in item["history"]
        ),
    )


def to_checks(proof: Item) -> tuple[Check, ...]:
    """The team's checks, of a proof; a worker of an older version wrote none."""
    return tuple(Check(c["task"], c["pool"], int(c["timeout"])) for c in proof.get("checks", ()))


def to_verdict(item: Item) -> Verdict:
    """How far a check is."""
    ended = item.get("ended")
    return Verdict(
        registered=item["registered"],
        begun=float(item["begun"]),
        ended=None if ended is None else float(ended),
        failure=item.get("failure", ""),
    )


def from_pointer(pointer: Pointer) -> Item:
    """The item of the pointer."""
    return {
        keys.KEY: keys.POINTER,
        "release": pointer.release,
        "version": pointer.version,
        "at": pointer.at,
        "actor": pointer.actor,
        "reason": pointer.reason,
        keys.SPLIT: pointer.split.to_json() if pointer.split else None,
    }


def to_pointer(item: Item) -> Pointer:
    """What `from_pointer` wrote."""
    return Pointer(
        release=item["release"],
        version=int(item["version"]),
        at=float(item["at"]),
        actor=item["actor"],
        reason=item["reason"],
        split=Split.from_json(item[keys.SPLIT]) if keys.SPLIT in item else None,
    )
