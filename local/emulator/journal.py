"""A journal of what SQS accepted and deleted since its state was last written: what was accepted stays.

A line is in the kernel's hands before the reply is sent, so the death of this process loses none. What may
come back after one is a message that was deleted, or is in a worker's hands: SQS is at least once anyway.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ministack.core import persistence
from ministack.services import sqs

from local.emulator.persistence import file_id

Queue = dict[str, Any]
Action = Callable[[dict[str, Any], str], dict[str, Any]]


class Journal:
    """Two files: one that is written, and the one before, until the state that holds its lines is on disk."""

    def __init__(self, folder: Path) -> None:
        self._current, self._before = folder / "sqs.journal", folder / "sqs.journal.before"
        self._file = os.open(self._current, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(self, entry: dict[str, Any]) -> None:
        """One line, at once."""
        os.write(self._file, json.dumps(entry).encode() + b"\n")

    def rotate(self) -> None:
        """The state is being taken now: later lines go into a new file."""
        if self._before.exists():  # the state before was never written; keep its lines
            with self._before.open("ab") as file:
                file.write(self._current.read_bytes())
            os.ftruncate(self._file, 0)
            return
        os.close(self._file)
        self._current.rename(self._before)
        self._file = os.open(self._current, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def written(self) -> None:
        """The state that was taken is on disk."""
        self._before.unlink(missing_ok=True)

    def replay(self) -> None:
        """Bring the queues that were restored up to the last line."""
        for path in (self._before, self._current):
            if path.exists():
                for line in path.read_bytes().splitlines():
                    _apply(line)


def _apply(line: bytes) -> None:
    try:
        entry = json.loads(line)
    except ValueError:  # the last line of a process that was killed while it wrote; its sender got no reply
        return
    for (_, _, url), queue in sqs._queues.all_items():
        if url != entry["queue"]:
            continue
        known = {message["id"] for message in queue["messages"]}
        queue["messages"] += [m for m in entry.get("sent", []) if m["id"] not in known]
        deleted = set(entry.get("deleted", []))
        queue["messages"] = [m for m in queue["messages"] if m["id"] not in deleted]


def _sending(action: Action, journal: Journal) -> Action:
    def act(data: dict[str, Any], url: str) -> dict[str, Any]:
        result = action(data, url)
        ids = {result.get("MessageId"), *(entry["MessageId"] for entry in result.get("Successful", []))}
        queue = sqs._get_q(data.get("QueueUrl", url))
        newest = queue["messages"][-len(ids) :]
        journal.append({"queue": _url(queue), "sent": [m for m in newest if m["id"] in ids]})
        return result

    return act


def _deleting(action: Action, journal: Journal) -> Action:
    def act(data: dict[str, Any], url: str) -> dict[str, Any]:
        queue = sqs._get_q(data.get("QueueUrl", url))
        before = {message["id"] for message in queue["messages"]}
        result = action(data, url)
        after = {message["id"] for message in queue["messages"]}
        journal.append({"queue": _url(queue), "deleted": sorted(before - after)})
        return result

    return act


def _url(queue: Queue) -> str:
    found: str = next(url for (_, _, url), known in sqs._queues.all_items() if known is queue)
    return found


def register() -> None:
    """Keep a journal beside SQS's state, and replay it when that is restored."""
    folder = Path(persistence.STATE_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder)
    for name in ("SendMessage", "SendMessageBatch"):
        sqs._HANDLERS[name] = _sending(sqs._HANDLERS[name], journal)
    for name in ("DeleteMessage", "DeleteMessageBatch", "PurgeQueue"):
        sqs._HANDLERS[name] = _deleting(sqs._HANDLERS[name], journal)
    state, restore, write = sqs.get_state, sqs.load_persisted_state, persistence.save_state

    def get_state() -> Any:
        journal.rotate()
        return state()

    def load_persisted_state(data: Any) -> None:
        restore(data)
        journal.replay()

    def save_state(service: str, data: Any) -> None:
        before = file_id(service)
        write(service, data)
        if service == "sqs" and file_id(service) != before:
            journal.written()

    sqs.get_state, sqs.load_persisted_state = get_state, load_persisted_state
    persistence.save_state = save_state
