"""How a deploy ended for its release, in words: what the controller decided, and what to do about it.

The controller does it all. Here it is only followed, until a release is current and has baked, or has failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError
from taskfleet.contract.environment import FALLBACK, PRIMARY
from taskfleet.contract.manifest import AUTOMATIC
from taskfleet.releases.answering import newer
from taskfleet.releases.bake import bakes
from taskfleet.releases.builds import Refused
from taskfleet.releases.model import Record, State
from taskfleet.releases.store import Snapshot, Store

_SILENT_SECONDS = 60.0
# A controller that is replaced looks again within two minutes and a half.
_GIVE_UP_SECONDS = 300.0
_READ_AGAIN_SECONDS = 20.0
_NO_TABLE = "ResourceNotFoundException"
_POLL_SECONDS = 1.0
_BROKERS = {PRIMARY: "Redis", FALLBACK: "SQS"}


def follow(
    store: Store,
    *,
    since: float,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> tuple[Snapshot, bool]:
    """What the state table says once nothing goes on by itself, and whether what was deployed has ended well.

    Ends without that when the controller is silent for minutes, or the table can't be read as long.
    """
    said, heard = "", clock()
    while True:
        try:
            snapshot, look = store.scan(), store.read_look()
        except (BotoCoreError, ClientError) as error:
            if _NO_TABLE in str(error) or clock() - heard > _READ_AGAIN_SECONDS:
                raise
            sleep(_POLL_SECONDS)
            continue
        heard = max(heard, look[1] if look else 0.0)
        deployed = [r for r in snapshot.records.values() if _passed(r, since)]
        goes_on = [r for r in deployed if _goes_on(r, snapshot)]
        if not goes_on:
            return snapshot, all(_well(record) for record in deployed)
        if clock() - heard > _GIVE_UP_SECONDS:
            return snapshot, False
        lines = "; ".join(f"release {r.release}: {r.state}: {r.history[-1].reason}" for r in goes_on)
        if lines != said:
            say(lines)
            said = lines
        sleep(_POLL_SECONDS)


def _passed(record: Record, since: float) -> bool:
    return record.gate_passed_at is not None and record.gate_passed_at >= since


def _goes_on(record: Record, snapshot: Snapshot) -> bool:
    """Whether the controller takes it further."""
    if record.paused is not None:
        return False
    if record.state is State.GATING:
        return record.manifest.promotion == AUTOMATIC and newer(record, snapshot.records, snapshot.pointer)
    return record.state is State.CANARY or (record.state is State.CURRENT and bakes(record))


def _well(record: Record) -> bool:
    """Whether it is current, or waits for a person."""
    return record.rejected is None and record.state in (State.GATING, State.CANARY, State.CURRENT)


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
        f"build {refused.build} is refused before it ran a task: it can't take what the build before takes, "
        "which may be in the queues:",
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
    if record.rejected:
        serves = snapshot.pointer.release
        return f"release {name} is {record.state}: {record.rejected}. Release {serves} is current"
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
