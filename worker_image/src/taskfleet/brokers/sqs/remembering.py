"""Which messages have ended in this process, though SQS may give them to it again."""

from __future__ import annotations

import threading

# The last so many are remembered: a megabyte or two.
MOST = 10_000


class Memory:
    """Outlives the channels of a worker: a thread may end its task after the connection was made anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended: dict[str, None] = {}  # ids, the oldest first
        self._given_back: dict[str, str] = {}  # delivery tag → id

    def given_back(self, tag: str, message_id: str) -> None:
        """Its lease has ended, or will; what runs may still come to its end."""
        with self._lock:
            self._given_back[tag] = message_id
            _trim(self._given_back)

    def ended(self, message_id: str) -> None:
        """It is done."""
        with self._lock:
            self._ended[message_id] = None
            _trim(self._ended)

    def ended_late(self, tag: str) -> None:
        """This delivery is done, which is no longer held."""
        with self._lock:
            message_id = self._given_back.pop(tag, None)
        if message_id is not None:
            self.ended(message_id)

    def has_ended(self, message_id: str) -> bool:
        """Whether it must not run again."""
        return message_id in self._ended


def _trim(known: dict[str, str] | dict[str, None]) -> None:
    while len(known) > MOST:
        del known[next(iter(known))]


MEMORY = Memory()
