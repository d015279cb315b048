"""The command before a release's gate: started once, found again after a restart, and its end read."""

from __future__ import annotations

from collections.abc import Iterable

from taskfleet import one_off
from taskfleet.contract.manifest import BeforeGate
from taskfleet.controller.clients import Clients
from taskfleet.one_off import Output, Place, Seen
from taskfleet.releases.model import Before, Record, State
from taskfleet.releases.observation import Command, Ended, Gone, Running

_TAIL_LINES, _TAIL_CHARACTERS = 10, 600  # of its output, in the release's history
# CloudWatch Logs may have the last lines so much later than ECS has the end.
_LOGS_SECONDS = 15.0
# ECS may show a task so much later than it has started it.
_SHOWN_SECONDS = 60.0


def start(clients: Clients, record: Record, command: BeforeGate) -> str:
    """The task's ARN: of the one that was started before if a controller was lost after it."""
    place, name = _place(clients, record, command), _name(record)
    found = one_off.find(clients.ecs, place, name)
    return found or one_off.start(clients.ecs, place, command.command, token=name, started_by=name)


def stop(clients: Clients, record: Record, command: BeforeGate) -> None:
    """Stop it."""
    if record.before is not None:
        reason = "it ran for too long before the gate"
        one_off.stop(clients.ecs, _place(clients, record, command), record.before.task, reason)


def look(clients: Clients, records: Iterable[Record], now: float) -> dict[str, Command]:
    """By release, for those that wait for theirs. Errors of AWS pass through."""
    return {
        record.release: _command(clients, _place(clients, record, command), begun, now)
        for record in records
        if record.state is State.REGISTERED
        and (begun := record.before) is not None
        and (command := record.manifest.before_gate) is not None
    }


def _command(clients: Clients, place: Place, begun: Before, now: float) -> Command:
    seen = one_off.look(clients.ecs, place, begun.task)
    if seen is None:
        # One that was started a moment ago may not be shown yet.
        return Gone() if now - begun.at > _SHOWN_SECONDS else Running()
    if not seen.ended:
        return Running()
    if seen.exit_code == 0:
        return Ended(0)
    lines = Output(clients.logs, place, begun.task).last(_TAIL_LINES)
    if not lines and seen.exit_code is not None and _just_ended(seen, now):
        return Running()
    return Ended(seen.exit_code, " | ".join(lines)[-_TAIL_CHARACTERS:] or seen.why)


def _just_ended(seen: Seen, now: float) -> bool:
    return seen.stopped_at is not None and now - seen.stopped_at < _LOGS_SECONDS


def _place(clients: Clients, record: Record, command: BeforeGate) -> Place:
    return Place(clients.environment, command.pool, record.release)


def _name(record: Record) -> str:
    """The same for one registration of a release, so that it is found again, and another for the next."""
    return f"before-gate/{record.release}/{int(record.since)}"
