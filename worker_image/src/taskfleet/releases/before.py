"""What runs once before a release's gate, as a migration does: when it is started, and what its end means."""

from __future__ import annotations

from collections.abc import Iterator

from taskfleet.releases.actions import Action, Move, RunBefore, StopBefore
from taskfleet.releases.model import Record, State
from taskfleet.releases.observation import Ended, Gone, Observation, Running

_TOLD = "the controller's log has what ECS said"


def towards_gating(record: Record, seen: Observation) -> Iterator[Action]:
    """What a registered release needs next. A command that can't be seen just now is waited for."""
    name, before = record.release, record.manifest.before_gate
    if before is None:
        yield Move(name, State.GATING, "gate tasks are sent to its queues")
    elif record.before is None and seen.now - record.since > before.timeout_seconds:
        yield Move(name, State.FAILED, f"its command before the gate could not be started: {_TOLD}")
    elif record.before is None:
        yield RunBefore(name, before)
    else:
        match seen.before.get(name):
            case Running() if seen.now - record.before.at > before.timeout_seconds:
                yield StopBefore(name, before)
                yield Move(
                    name, State.FAILED, f"its command before the gate ran for {before.timeout_seconds} s"
                )
            case Ended(code=0):
                yield Move(name, State.GATING, "its command before the gate ended with 0")
            case Ended(code, says):
                ended = "never began" if code is None else f"ended with {code}"
                yield Move(name, State.FAILED, f"its command before the gate {ended}: {says}")
            case Gone():
                yield Move(
                    name, State.FAILED, "how its command before the gate ended is not known to ECS any more"
                )
