"""Sessions that have outlived their channel, until the next channel goes on with them."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable

from taskfleet.brokers.redis.commands import Commands
from taskfleet.brokers.redis.renewal import Renewal
from taskfleet.brokers.redis.running import stopping
from taskfleet.brokers.redis.session import Session


class Sessions:
    """The sessions of this process that have lost their channel, by the broker that they belong to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orphaned: dict[object, list[tuple[int, Session]]] = {}
        atexit.register(self._end)

    def take(
        self, broker: object, make_commands: Callable[[], Commands], renewal: Renewal | None = None
    ) -> Session:
        """The session that a new channel goes on with: one that was left, or a new one."""
        with self._lock:
            for pid, session in self._orphaned.pop(broker, []):
                if pid == os.getpid() and session.id:
                    return session
        return Session(make_commands, renewal)

    def leave(self, broker: object, session: Session) -> None:
        """This one still has something to say, or something that runs."""
        with self._lock:
            self._orphaned.setdefault(broker, []).append((os.getpid(), session))

    def _end(self) -> None:
        """At the end of the process whatever is held goes back now, not when its lease lapses.

        If nobody told the worker to end, what ran may be the cause: then that counts as a delivery.
        """
        counts = not stopping()
        for entries in list(self._orphaned.values()):
            for pid, session in entries:
                if pid == os.getpid() and session.id:
                    for tag in list(session.held) if counts else ():
                        session.give_back(tag, counts=True)
                    session.abandon((), session.make_commands)


SESSIONS = Sessions()
