"""A consumer's hold on its messages: who lives, what it holds, what it has finished.

A session beats from a thread of its own, so neither a busy pool nor a blocked event loop lets it lapse.
When the connection is lost the session outlives the channel: what still runs is kept, what was only
waiting goes back, and acknowledgements wait until Redis can be told.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Collection
from time import monotonic

from redis.exceptions import RedisError

from taskfleet.brokers.redis.commands import Commands

logger = logging.getLogger(__name__)

_ERRORS = (RedisError, OSError)
# A beat that failed is tried again soon: after an outage there is little time to come back.
RETRY_SECONDS = 0.5


class Session:
    """One consuming channel's session, or what is left of it. Used by its channel and its own thread."""

    def __init__(self, make_commands: Callable[[], Commands]) -> None:
        self._make_commands = make_commands
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._pid = os.getpid()
        self._number = 0
        self._over: threading.Event | None = None  # ends the thread of this life of the session
        self._widowed = False
        self.id = ""
        self.lapsed = False
        self.held: set[str] = set()
        self._done: dict[str, None] = {}
        self._telling: list[str] = []
        self._tell_after = 0.0

    # -- its life -------------------------------------------------------------------------------------

    def open(self, commands: Commands) -> None:
        """Begin, or begin anew with what is held: whatever Redis thinks is ours beyond that goes back."""
        with self._lock:
            following = os.urandom(8).hex()
            self._done.update(dict.fromkeys(self._telling))
            self._telling = []
            commands.settle(self.id, following, keep=[*self.held, *self._done])
            self.id, self.lapsed, self._widowed = following, False, False
            if self._over is None or self._over.is_set():
                self._over = threading.Event()
                threading.Thread(
                    target=self._run, args=(self._over,), name="taskfleet-redis-session", daemon=True
                ).start()

    @property
    def unsettled(self) -> bool:
        """Whether Redis still knows it."""
        return bool(self.id)

    def next_number(self) -> int:
        """Numbers the fetches; part of each tag."""
        with self._lock:
            self._number += 1
            return self._number

    def abandon(self, keep: Collection[str], commands: Callable[[], Commands]) -> bool:
        """The channel is gone. Whether everything went back; if not, the thread goes on until it has."""
        with self._lock:
            self.held &= set(keep)
            self._widowed = True
            if not self.held and self._leave(commands):
                return True
        self._wake.set()
        return False

    def _leave(self, commands: Callable[[], Commands]) -> bool:
        """Give everything back and end. Held under the lock."""
        try:
            made = commands()
            self._tell(made)
            if self.id:
                made.settle(self.id, "")
        except _ERRORS as error:
            logger.warning("Redis could not be told that this worker is done with its messages: %s", error)
            return False
        self.id = ""
        if self._over is not None:
            self._over.set()
        self._wake.set()
        return True

    # -- its messages ---------------------------------------------------------------------------------

    def acknowledge(self, tag: str) -> None:
        """Done. Redis is told with the next fetch, or by `tell`."""
        with self._lock:
            self.held.discard(tag)
            self._done[tag] = None
            if self._widowed:
                self._wake.set()

    def take_done(self) -> list[str]:
        """Acknowledgements to send with a fetch. They count as told after `told`."""
        with self._lock:
            self._telling, self._done = [*self._telling, *self._done], {}
            return self._telling

    def told(self) -> None:
        """The fetch was answered, so Redis has what `take_done` gave."""
        with self._lock:
            self._telling = []

    def tell(self, commands: Commands) -> None:
        """Send what was acknowledged and not yet sent. What fails is sent later."""
        if not self._done or monotonic() < self._tell_after:
            return
        try:
            with self._lock:
                self._tell(commands)
        except _ERRORS as error:
            self._tell_after = monotonic() + 2 * RETRY_SECONDS
            logger.warning("Redis could not be told of %d finished messages yet: %s", len(self._done), error)

    def _tell(self, commands: Commands) -> None:
        done = list(self._done)
        if done and self.id:
            commands.acknowledge(self.id, done)
        for tag in done:
            del self._done[tag]

    def give_back(self, commands: Commands, tag: str, *, counts: bool) -> None:
        """Into its queue: rejected by its task, behind the others and counted; else as it was."""
        with self._lock:
            if self.id:
                commands.give_back(self.id, [tag], count=int(counts), to_the_end=counts)
            self.held.discard(tag)

    # -- its thread -----------------------------------------------------------------------------------

    def _run(self, over: threading.Event) -> None:
        commands, cursor = self._make_commands(), "0"
        pause = commands.lease.beat_seconds
        while not over.is_set() and os.getpid() == self._pid:
            self._wake.wait(pause)
            self._wake.clear()
            if over.is_set():
                return
            try:
                cursor = self._beat(commands, cursor)
                pause = commands.lease.beat_seconds
            except Exception as error:  # noqa: BLE001 - whatever it is, a thread that ends lets the lease lapse
                logger.warning("Redis did not take this worker's beat, trying on: %r", error)
                commands, pause = self._make_commands(), RETRY_SECONDS

    def _beat(self, commands: Commands, cursor: str) -> str:
        session = self.id
        if not session:
            return "0"
        alive, cursor = commands.beat(session, cursor=cursor)
        with self._lock:
            if session != self.id:
                return "0"
            if self._widowed:
                self._tell(commands)
                if not self.held:
                    self._leave(lambda: commands)
            elif not alive:
                self.lapsed = True
        return cursor


class Sessions:
    """The sessions of this process that have lost their channel, by the broker that they belong to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._widows: dict[object, list[tuple[int, Session]]] = {}
        atexit.register(self._end)

    def take(self, broker: object, make_commands: Callable[[], Commands]) -> Session:
        """The session that a new channel goes on with: one that was left, or a new one."""
        with self._lock:
            for pid, session in self._widows.pop(broker, []):
                if pid == os.getpid() and session.unsettled:
                    return session
        return Session(make_commands)

    def leave(self, broker: object, session: Session) -> None:
        """This one still has something to say, or something that runs."""
        with self._lock:
            self._widows.setdefault(broker, []).append((os.getpid(), session))

    def _end(self) -> None:
        """At the end of the process whatever is held goes back now, not when its lease lapses."""
        for entries in list(self._widows.values()):
            for pid, session in entries:
                if pid == os.getpid() and session.unsettled:
                    session.abandon((), session._make_commands)


SESSIONS = Sessions()
