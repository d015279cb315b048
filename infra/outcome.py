"""How a deploy ended for its release, in words: what the controller decided, and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Callable

from taskfleet.contract.environment import FALLBACK, PRIMARY
from taskfleet.contract.manifest import AUTOMATIC
from taskfleet.releases.builds import Refused
from taskfleet.releases.model import Record, State
from taskfleet.releases.store import Snapshot, Store

_SECONDS = 60.0  # from the answer to CloudFormation to the pointer; the controller does both in one look
_SILENT_SECONDS = 60.0
_POLL_SECONDS = 1.0
_BROKERS = {PRIMARY: "Redis", FALLBACK: "SQS"}


def wait(store: Store, *, since: float, sleep: Callable[[float], None] = time.sleep) -> Snapshot:
    """What the state table says once what has passed its gate is current, a minute later at most."""
    deadline = time.monotonic() + _SECONDS
    while True:
        snapshot = store.scan()
        if time.monotonic() > deadline or not any(
            _becomes_current(r, since) for r in snapshot.records.values()
        ):
            return snapshot
        sleep(_POLL_SECONDS)


def _becomes_current(record: Record, since: float) -> bool:
    passed = record.gate_passed_at is not None and record.gate_passed_at >= since
    return record.state is State.GATING and passed and record.manifest.promotion == AUTOMATIC


def describe(snapshot: Snapshot, *, since: float, looked_at: float | None, now: float) -> list[str]:
    """One line for each release that was moved since, and one if the controller is silent."""
    moved = [r for r in snapshot.records.values() if r.history and r.history[-1].at >= since]
    lines = [_line(record, snapshot) for record in sorted(moved, key=lambda record: record.release)]
    if looked_at is None or now - looked_at > _SILENT_SECONDS:
        ago = "has not looked yet" if looked_at is None else f"has not looked for {now - looked_at:.0f} s"
        lines.append(
            f"the controller, which moves releases on, {ago}: see its log, and runbooks/controller-silent.md"
        )
    return lines


def refusal(refused: Refused | None, *, since: float) -> list[str]:
    """Why a build was not let in beside the one before it, and what to do."""
    if refused is None or refused.at < since:
        return []
    tasks = ",".join(dict.fromkeys(one.partition(":")[0].partition(",")[0] for one in refused.breaks))
    return [
        f"build {refused.build} is refused, and none of the workers that run was touched: it can't take what "
        "the build before takes, which may be in the queues:",
        *(f"  {one}" for one in refused.breaks),
        f"If nothing sends these as they were any more: make deploy … BREAKS={tasks}",
    ]


def _line(record: Record, snapshot: Snapshot) -> str:
    name, reason = record.release, record.history[-1].reason
    if record.state is State.FAILED:
        serves = snapshot.pointer.release
        return f"release {name} failed: {reason}. Release {serves} is current as before"
    if record.gate_failed is not None:
        build = f"build {record.manifest.build} of release {name}"
        return f"{build} has not passed its gate: {record.gate_failed}. CloudFormation goes back from it"
    if record.ready and record.state is State.GATING:
        promote = f"fleet release promote {name} --yes"
        return f"release {name} has passed its gate; make it current: {promote}{took(record)}"
    gate = took(record) if record.state is State.CURRENT else ""
    return f"release {name} is {record.state}: {reason}{gate}"


def took(record: Record) -> str:
    """How long its gate took on each broker and for each of the team's checks, if it has passed."""
    said = " and ".join(f"{seconds:.0f} s {_for(what)}" for what, seconds in record.gate_took)
    return f"; its gate took {said}" if said else ""


def _for(what: str) -> str:
    return f"on {_BROKERS[what]}" if what in _BROKERS else f"until {what} had ended"
