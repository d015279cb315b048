"""Group commit: what many threads want to send at once goes out together, each with its own answer.

A caller that finds no round trip under way makes one itself, at once and in its own thread: alone it waits
for nobody. What comes meanwhile waits, and the first of it makes the next round trip for all of them. Where
several may be under way at once, another begins as soon as it would be full, or when one takes long.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from taskfleet.publishing.refusal import Refusal

TOO_LATE = "this process was too busy to hear its answer within the publish's time"
# A round trip ends by itself, at its own time-outs (1.2 s for SQS, `taskfleet.aws.PROMPT`); where it takes
# longer, this process is starved, and a broker may have taken what it carries.
UNDER_WAY_SECONDS = 10.0
# One that is not full begins beside others that have taken so long: sooner, many small ones would keep a
# broker (and this process) busier than few full ones.
BESIDE_SECONDS = 0.05
INTERRUPTED = Refusal("whoever sent it for this publish, too, was interrupted", uncertain=True)


class Entry:
    """One message that waits for its answer, until ``ends_at`` at most. ``size`` in bytes.

    ``refused`` is None if it was accepted.
    """

    def __init__(self, content: Any, size: int, *, ends_at: float, probe: bool = False) -> None:
        self.content, self.size, self.ends_at, self.probe = content, size, ends_at, probe
        self.refused: Refusal | None = None
        self.done = False
        self.taken = False  # it is part of a round trip: it may have been sent
        self._waits: threading.Lock | None = None

    @property
    def refusal(self) -> Refusal | None:
        """Why it was not accepted, or None; after `GroupCommit.send`."""
        return self.refused if self.done else Refusal(TOO_LATE, uncertain=self.taken)

    def settle(self, refused: Refusal | None = None) -> None:
        """Say how it ended."""
        self.refused, self.done = refused, True

    def prepare_to_wait(self) -> None:
        """Before anybody may wake it."""
        self._waits = threading.Lock()  # the lightest thing to wait on that gevent and eventlet replace
        self._waits.acquire()

    def wait(self, seconds: float) -> bool:
        """Until it is woken; False if nobody did in time."""
        return self._waits is None or self._waits.acquire(timeout=max(0.0, seconds))

    def wake(self) -> None:
        """End its wait, or its next one."""
        if self._waits is not None and self._waits.locked():
            self._waits.release()


def _ends_soon(entry: Entry) -> bool:
    """What is under way ends by itself: giving it up a moment before would refuse what a broker takes."""
    return entry.taken and (entry.done or entry.wait(UNDER_WAY_SECONDS))


class GroupCommit:
    """Shares ``exchange`` among threads or greenlets: ``round_trips`` of them at once.

    ``exchange`` gets entries, at most ``most_messages`` and ``most_bytes`` together (one alone may be
    larger), and settles each.
    """

    def __init__(
        self,
        exchange: Callable[[Sequence[Entry]], None],
        *,
        round_trips: int,
        most_messages: int,
        most_bytes: int,
    ) -> None:
        self._exchange, self._round_trips = exchange, round_trips
        self._most_messages, self._most_bytes = most_messages, most_bytes
        self._lock = threading.Lock()
        self._waiting: deque[Entry] = deque()
        self._leading: set[Entry] = set()
        self._next: Entry | None = None  # the first of those that wait
        self._to_batch = 0  # of those that lead, how many have not taken what goes with them

    def send(self, entries: Sequence[Entry]) -> None:
        """Have them sent; then each has its `Entry.refusal`. They go out in their order."""
        try:
            self._join(entries)
            for entry in entries:
                self._see_to(entry)
        finally:
            self._leave(entries)

    def give_up(self, why: Refusal) -> None:
        """End the wait of all that are in no round trip yet: they were not sent. Probes wait on."""
        with self._lock:
            given_up = [entry for entry in self._waiting if not entry.probe]
            self._waiting = deque(entry for entry in self._waiting if entry.probe)
        for entry in given_up:
            entry.settle(why)
            entry.wake()

    def _see_to(self, entry: Entry) -> None:
        while not entry.done:
            if entry in self._leading:
                self._lead(entry)
                continue
            left = entry.ends_at - time.monotonic()
            if entry.wait(min(left, BESIDE_SECONDS) if self._may_go_beside(entry) else left):
                continue
            if entry.ends_at > time.monotonic():
                self._go_beside(entry)
            elif not _ends_soon(entry):
                return

    def _join(self, entries: Sequence[Entry]) -> None:
        with self._lock:
            if not self._leading:
                self._follow(entries[0])
                entries = entries[1:]
            for entry in entries:
                entry.prepare_to_wait()
            self._waiting.extend(entries)
            self._begin_others()

    def _begin_others(self) -> None:
        """Have those that wait lead as many round trips as there are messages for. Under the lock."""
        while self._waiting and (not self._leading or self._would_be_full()):
            self._follow(self._waiting.popleft()).wake()
        if self._waiting and self._next is not self._waiting[0] and self._round_trips > 1:
            self._next = self._waiting[0]
            self._next.wake()  # to look after the time (`_may_go_beside`)

    def _would_be_full(self) -> bool:
        """Whether another round trip would be, besides what those that lead are about to take with them."""
        taken = self._to_batch * (self._most_messages - 1)
        return len(self._leading) < self._round_trips and len(self._waiting) >= taken + self._most_messages

    def _follow(self, entry: Entry) -> Entry:
        """It leads the next round trip. Under the lock."""
        self._leading.add(entry)
        self._to_batch += 1
        return entry

    def _may_go_beside(self, entry: Entry) -> bool:
        """Whether it is the next, and might begin a round trip that is not full."""
        return self._next is entry

    def _go_beside(self, entry: Entry) -> None:
        with self._lock:
            next_ = bool(self._waiting) and self._waiting[0] is entry
            if next_ and len(self._leading) < self._round_trips:
                self._follow(self._waiting.popleft())

    def _lead(self, entry: Entry) -> None:
        batch = self._batch(entry)
        try:
            self._exchange(batch)
        finally:
            # Whatever ended it (a time limit of a task is raised anywhere): nobody waits for it in vain.
            self._leave([entry])
            for other in batch:
                if not other.done:
                    other.settle(INTERRUPTED)
                other.wake()

    def _batch(self, first: Entry) -> list[Entry]:
        with self._lock:
            self._to_batch -= 1
            batch, size = [first], first.size
            while self._waiting and len(batch) < self._most_messages:
                size += self._waiting[0].size
                if size > self._most_bytes:
                    break
                batch.append(self._waiting.popleft())
            for entry in batch:
                entry.taken = True
            self._begin_others()
        return batch

    def _leave(self, entries: Sequence[Entry]) -> None:
        """Hand over what they lead to the first that waits; or wait no more."""
        with self._lock:
            for entry in entries:
                if (
                    entry not in self._leading
                    and not entry.done
                    and not entry.taken
                    and entry in self._waiting
                ):
                    self._waiting.remove(entry)
            for entry in entries:
                if entry in self._leading:
                    self._leading.remove(entry)
                    if not entry.taken:
                        self._to_batch -= 1
            self._begin_others()
