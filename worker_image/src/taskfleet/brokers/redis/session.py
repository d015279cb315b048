"""A consumer's hold on its messages: who lives, what it holds, what it has finished.

A session beats from a thread of its own, so neither a busy pool nor a blocked event loop lets it lapse.
When the connection is lost the session outlives the channel: what still runs is kept, what was only
waiting goes back, and what was finished or rejected waits until Redis can be told.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection
from time import monotonic

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from taskfleet.brokers.redis.commands import Commands
from taskfleet.brokers.redis.renewal import Renewal

logger = logging.getLogger(__name__)

_ERRORS = (RedisError, OSError)
# A beat that failed is tried again soon: after an outage there is little time to come back.
RETRY_SECONDS = 0.5


class Session:
    """One consuming channel's session, or what is left of it. Used by its channel and its own thread."""

    def __init__(self, make_commands: Callable[[], Commands], renewal: Renewal | None = None) -> None:
        self.make_commands = make_commands
        self._renewal = renewal  # for a process that tasks can keep from renewing
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._pid = os.getpid()
        self._number = 0
        self._over: threading.Event | None = None  # ends the thread of this life of the session
        self._widowed = False
        self._ids: list[str] = []  # only after an answer was lost may Redis know it by more than the last
        self.lapsed = False
        self.held: set[str] = set()
        self._done: dict[str, None] = {}
        self._telling: list[str] = []
        self._returning: dict[str, bool] = {}  # whether that counts as a delivery
        self._tell_after = 0.0

    # -- its life -------------------------------------------------------------------------------------

    def open(self, commands: Commands) -> None:
        """Begin, or begin anew with what is held: whatever Redis thinks is ours beyond that goes back."""
        with self._lock:
            self._recall()
            former, self._ids = self._ids or [""], [*self._ids, os.urandom(8).hex()]
            for each in former:
                commands.settle(each, self.id, keep=[*self.held, *self._done, *self._returning])
            self._ids, self.lapsed, self._widowed = [self.id], False, False
            self._renewed()
            if self._over is None or self._over.is_set():
                self._over = self._begin_to_renew()

    def _begin_to_renew(self) -> threading.Event:
        over = threading.Event()
        thread = threading.Thread(target=self._run, args=(over,), name="taskfleet-redis-session", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise RedisConnectionError(f"nothing would renew this worker's lease: {error}") from error
        return over

    @property
    def id(self) -> str:
        """What Redis knows it by; empty before its beginning and after its end."""
        return self._ids[-1] if self._ids else ""

    def next_number(self) -> int:
        """Numbers the fetches; part of each tag."""
        with self._lock:
            self._number += 1
            return self._number

    def abandon(self, keep: Collection[str], commands: Callable[[], Commands]) -> bool:
        """The channel is gone. Whether everything went back; if not, the thread goes on until it has."""
        with self._lock:
            self._recall()
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
            for each in self._ids:
                made.settle(each, "")
        except _ERRORS as error:
            logger.warning("Cannot record in Redis that this worker is done with its messages: %s", error)
            return False
        self._ids = []
        if self._renewal is not None:
            self._renewal.end()
        if self._over is not None:
            self._over.set()
        self._wake.set()
        return True

    def _renewed(self) -> None:
        if self._renewal is not None and self._ids:
            self._renewal.renewed(self._ids)

    # -- its messages ---------------------------------------------------------------------------------

    def acknowledge(self, tag: str) -> None:
        """Done. Redis is told with the next fetch, or by `tell`."""
        with self._lock:
            self.held.discard(tag)
            self._done[tag] = None
            if self._widowed:
                self._wake.set()

    def give_back(self, tag: str, *, counts: bool) -> None:
        """Into its queue: behind the others if that ``counts`` as a delivery, else as it was. As above."""
        with self._lock:
            self.held.discard(tag)
            self._returning[tag] = counts
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

    def _recall(self) -> None:
        """No answer will say any more whether Redis has them, so they are told again."""
        self._done.update(dict.fromkeys(self._telling))
        self._telling = []

    def tell(self, commands: Commands) -> None:
        """Send what no fetch took along. What fails is sent later."""
        if not (self._done or self._returning) or monotonic() < self._tell_after:
            return
        try:
            with self._lock:
                self._tell(commands)
        except _ERRORS as error:
            self._tell_after = monotonic() + 2 * RETRY_SECONDS
            many = len(self._done) + len(self._returning)
            logger.warning("Cannot acknowledge or return %d messages in Redis yet: %s", many, error)

    def _tell(self, commands: Commands) -> None:
        done = list(self._done)
        counted = [tag for tag, counts in self._returning.items() if counts]
        uncounted = [tag for tag, counts in self._returning.items() if not counts]
        for each in self._ids:
            if done:
                commands.acknowledge(each, done)
            if counted:
                commands.give_back(each, counted, count=1, to_the_end=True)
            if uncounted:
                commands.give_back(each, uncounted, count=0, to_the_end=False)
        self._done, self._returning = {}, {}

    # -- its thread -----------------------------------------------------------------------------------

    def _run(self, over: threading.Event) -> None:
        commands: Commands | None = None
        cursor, pause = "0", RETRY_SECONDS
        while not over.is_set() and os.getpid() == self._pid:
            self._wake.wait(pause)
            self._wake.clear()
            if over.is_set():
                return
            try:
                commands = commands or self.make_commands()
                cursor = self._beat(commands, cursor)
                self._renewed()
                pause = commands.lease.beat_seconds
            except Exception as error:  # noqa: BLE001 - whatever it is, a thread that ends lets the lease lapse
                logger.warning("Redis did not take this worker's beat, trying on: %r", error)
                commands, pause = None, RETRY_SECONDS

    def _beat(self, commands: Commands, cursor: str) -> str:
        ids, alive = self._ids, False
        for each in ids:
            answer, cursor = commands.beat(each, cursor=cursor)
            alive = alive or answer
        with self._lock:
            if ids != self._ids or not ids:
                return "0"
            if self._widowed:
                self._tell(commands)
                if not self.held:
                    self._leave(lambda: commands)
            elif not alive:
                self.lapsed = True
        return cursor
