"""The lease of a producer's process: which releases it may still publish to, for the controller to know.

Written in the background, so that no publish waits for it or fails with it: `FIRST_SECONDS` after the first
publish, then once a minute while the process publishes, and taken back when it ends.
"""

from __future__ import annotations

import atexit
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from taskfleet import boot_clock
from taskfleet.contract.leases import FIRST_SECONDS, IDLE_SECONDS, LEASE_SECONDS, RENEW_SECONDS
from taskfleet.logs import logger
from taskfleet.publishing.pointer import Releases
from taskfleet.releases.lease import Lease
from taskfleet.releases.leases import Leases

READ_SECONDS = 3.0
# Where no thread can be started, it is tried again so much later.
THREAD_AGAIN_SECONDS = 5.0


@dataclass(frozen=True)
class Who:
    """A process, as people find it."""

    host: str
    pid: int
    application: str

    @classmethod
    def here(cls, application: str | None) -> Who:
        """This one. An application without a name goes by its program."""
        return cls(socket.gethostname(), os.getpid(), application or Path(sys.argv[0] or "python").name)


class ProducerLease:
    """Of one process; made again after a fork. Safe for threads and greenlets."""

    def __init__(
        self,
        who: Who,
        store: Leases,
        releases: Releases,
        *,
        bound_release: str | None,
        clock: Callable[[], float] = boot_clock.now,
    ) -> None:
        self._who, self._store, self._releases, self._bound = who, store, releases, bound_release
        self._process = f"{who.host}/{who.pid}/{secrets.token_hex(4)}"
        self._clock = clock
        self._lock = threading.Lock()
        self._runs, self._ended = False, threading.Event()
        self._not_before = 0.0
        self._published_to: set[str] = set()
        self._used_at = self._written_at = float("-inf")
        self._since: float | None = None
        self._said: str | None = None

    def used(self, release: str) -> None:
        """A publish goes to this release."""
        self._used_at = self._clock()
        # Named by the caller, or that of a group: what is known is asked for.
        if release not in self._releases.known:
            self._published_to.add(release)
        if not self._runs:
            self._start()

    def end(self) -> None:
        """Take the lease back: this process publishes no more, or not for now."""
        with self._lock:
            self._ended.set()
            self._runs, self._ended = False, threading.Event()
        if self._since is None or os.getpid() != self._who.pid:
            return
        self._since = None
        try:
            self._store.forget(self._process)
        except Exception as error:  # noqa: BLE001 - it ends by itself in a few minutes
            logger.debug("the lease of this process could not be taken back: %s", error)

    def _start(self) -> None:
        with self._lock:
            if self._runs or self._used_at < self._not_before:
                return
            self._runs = True
        run = partial(self._run, self._ended)
        thread = threading.Thread(target=run, name="taskfleet-lease", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread can be started now
            self._runs, self._not_before = False, self._used_at + THREAD_AGAIN_SECONDS
        except BaseException:  # a time limit of whoever publishes
            self._runs = thread.is_alive()
            raise

    def _run(self, ended: threading.Event) -> None:
        due = max(FIRST_SECONDS, self._written_at + RENEW_SECONDS - self._clock())
        while not ended.wait(due) and self._goes_on():
            self._renew()
            due = RENEW_SECONDS

    def _goes_on(self) -> bool:
        with self._lock:
            self._runs = self._clock() - self._used_at < IDLE_SECONDS
            return self._runs

    def _renew(self) -> None:
        """Write it, of a pointer that is read now; whoever may publish to none has none."""
        held = {self._bound} if self._bound else self._releases.held(within_seconds=READ_SECONDS)
        published_to, self._published_to = self._published_to, set()
        releases = tuple(sorted(published_to | held))
        if not releases:
            return
        now, began = time.time(), self._clock()
        self._written_at = began
        lease = Lease(
            process=self._process,
            host=self._who.host,
            pid=self._who.pid,
            application=self._who.application,
            releases=releases,
            pinned=self._bound is not None,
            since=self._since or now,
            until=now + LEASE_SECONDS,
        )
        try:
            self._store.write(lease)
        except Exception as error:  # noqa: BLE001 - publishing goes on, whatever it is
            self._say(error)
            return
        if self._since is None:
            self._since = now
            atexit.register(self.end)
        self._said = None
        self._releases.leased(began)

    def _say(self, error: Exception) -> None:
        """Once for each kind of it."""
        kind = f"{type(error).__name__}"
        if kind != self._said:
            self._said = kind
            logger.warning(
                "the lease of this producer can't be written; publishing goes on. Its role needs the policy "
                "of docs/producers.md, if that is it: %s",
                error,
            )
