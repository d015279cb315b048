"""Which release a publish goes to, and which queues that release has.

The pointer is read at most every 5 s and fails static: if it can't be read, what was read last holds, for
four hours at most, and only in a process that has gone on asking. One that was suspended or idle past its
lease (`taskfleet.publishing.leasing`) reads it before it publishes, or refuses to.
Beside it, in the same request, is read which share of publishes goes to a release in its canary.
A manifest that was read is kept: a release's queues change with its id. Where somebody gives an id himself
and adds a queue under it, the manifest is read again at the first publish to that queue.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from taskfleet import boot_clock, deadline
from taskfleet.cached_read import CachedRead
from taskfleet.contract import names, parameters
from taskfleet.contract.leases import LEASE_SECONDS
from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.contract.parameters import canary_release, current_release
from taskfleet.contract.split import Split, split_of
from taskfleet.errors import PointerStale, PointerUnknown
from taskfleet.per_process import PerProcess
from taskfleet.publishing.memory import Memory
from taskfleet.publishing.parameters import Parameters, Read
from taskfleet.releases.model import Published

KEEP_SECONDS = 5.0
# So long a publish waits for a pointer that it knows to be old: SSM most often answers in a tenth of it.
PATIENCE_SECONDS = 0.2
# One this much older is waited for as in a new process: after a minute its release may be drained.
STALE_SECONDS = 30.0
# The manifest of a release that is rolled changes with each build.
ROLLED_SECONDS = 60.0
# A publish to a queue that its release is not known to have waits so long for the manifest.
ANEW_SECONDS = 1.0


class NotDeployed(PointerUnknown):
    """There is no such release, or there is none any more."""


class _Manifest(NamedTuple):
    """What a publish needs of it."""

    queues: frozenset[str]
    confirmed: frozenset[str]
    default_queue: str | None
    longest_countdowns: Mapping[str, int]
    etas_beyond: int | None


class _Lease:
    """Of one process: a child does not inherit it."""

    until = -math.inf


class Releases:
    """The current release and the queues of releases, as this process knows them. Safe for threads.

    ``bound``: this process publishes to a release of its own, and asks for the current one only to look.
    """

    def __init__(
        self,
        environment: str,
        read: Read | None = None,
        clock: Callable[[], float] = boot_clock.now,
        *,
        bound: bool = False,
    ) -> None:
        self._environment, self._clock, self._bound = environment, clock, bound
        self._memory, self._lease = Memory(), PerProcess(_Lease)
        self._read = read or Parameters(environment)
        self._current = CachedRead(
            "the current release",
            self._look,
            keep_seconds=KEEP_SECONDS,
            patience_seconds=PATIENCE_SECONDS,
            stale_seconds=STALE_SECONDS,
            clock=clock,
        )
        self._manifests: dict[str, CachedRead[_Manifest]] = {}
        self._again_at: dict[str, float] = {}

    def current(self) -> str:
        """The current release.

        Raises `PointerUnknown` if there is none, or none was ever read, and `PointerStale` if what was read
        is too old.
        """
        return self._told().release

    def canary(self, root: str) -> str | None:
        """The release in its canary, if the workflow of this ``root`` goes to it. Raises as `current`."""
        split = self._told().split
        return split.release if split is not None and split.takes(root) else None

    def _told(self) -> Published:
        try:
            told = self._current.get()
            if self._holds():
                return told
            # A read that began before this process was suspended brings what was true then.
            if not self._memory.just_failed(self._clock()):
                self._current.expire()
                told = self._current.fresh()
        except OSError as error:
            if self._current.known is None:
                raise PointerUnknown(f"the current release can't be read: {error}") from error
            raise self._stale(str(error)) from error
        if self._holds():
            return told
        raise self._stale("it was not read in time")

    @property
    def known(self) -> frozenset[str]:
        """The current release and one in its canary, as they were read last, however old."""
        told = self._current.known
        if told is None:
            return frozenset()
        return frozenset((told.release, *([told.split.release] if told.split else [])))

    def held(self, *, within_seconds: float) -> frozenset[str]:
        """The releases that this process may publish to, of a pointer that is read now."""
        self._current.expire()
        with deadline.within(within_seconds), contextlib.suppress(OSError, PointerUnknown):
            self._current.fresh()
        return self.known if self._holds() else frozenset()

    def leased(self, since: float) -> None:
        """The controller knows, ``since`` a moment of this clock, which release this process publishes to."""
        self._lease.get().until = since + LEASE_SECONDS

    def _holds(self) -> bool:
        return self._bound or self._memory.holds(self._clock(), leased_until=self._lease.get().until)

    def _stale(self, why: str) -> PointerStale:
        age, known = self._clock() - self._memory.read_at, " or ".join(sorted(self.known))
        return PointerStale(
            f"the current release was read {age:.0f} s ago, and can't be read again: {why}. This process was "
            f"suspended or idle past its lease of {LEASE_SECONDS:.0f} s, or nothing answers for hours; "
            f"release {known} may have drained meanwhile. Nothing was published: send it again"
        )

    def renew(self, *, within_seconds: float) -> None:
        """Read the pointer anew and wait for it; if it can't be read in time, what was known holds."""
        self._current.expire()
        with deadline.within(within_seconds), contextlib.suppress(OSError):
            self._current.fresh()

    def expire(self) -> None:
        """Have the pointer read again at the next publish."""
        self._current.expire()

    def queues(self, release: str) -> frozenset[str]:
        """The logical queues of a release. Raises `PointerUnknown` if its manifest can't be read."""
        return self._manifest(release).queues

    def queues_anew(self, release: str) -> frozenset[str]:
        """As `queues`, of a manifest that is read again, at most every `KEEP_SECONDS`.

        For a queue that is not known: it may have been added to the release since.
        """
        kept, now = self._manifests.get(release), self._clock()
        if kept is not None and now >= self._again_at.get(release, -math.inf):
            self._again_at[release] = now + KEEP_SECONDS
            kept.expire()
            with deadline.within(ANEW_SECONDS), contextlib.suppress(OSError, PointerUnknown):
                kept.fresh()
        return self.queues(release)

    def confirmed(self, release: str) -> frozenset[str]:
        """Those of them whose publishes wait for a replica. Raises as `queues`."""
        return self._manifest(release).confirmed

    def default_queue(self, release: str) -> str | None:
        """Where tasks go that name no queue. Raises as `queues`."""
        return self._manifest(release).default_queue

    def longest_countdown(self, queue: str, release: str) -> int | None:
        """How far ahead an ETA of a task in a logical queue may be, in seconds. Raises as `queues`."""
        return self._manifest(release).longest_countdowns.get(queue)

    def etas_beyond(self, release: str) -> int | None:
        """How far ahead an ETA stays in the queues, in seconds; None: any does. Raises as `queues`."""
        return self._manifest(release).etas_beyond

    def _manifest(self, release: str) -> _Manifest:
        kept = self._manifests.get(release)
        if kept is None:
            read = partial(self._read_manifest, release)
            keep = ROLLED_SECONDS if release == names.ROLLING else math.inf
            made = CachedRead(f"release {release}", read, keep_seconds=keep, clock=self._clock)
            kept = self._manifests.setdefault(release, made)
        try:
            return kept.get()
        except OSError as error:
            raise PointerUnknown(f"the queues of release {release} can't be read: {error}") from error

    def _look(self) -> Published:
        began = self._clock()
        try:
            value = self._read_pointer()
        except BaseException:
            self._memory.failed(began, self._clock())
            raise
        self._memory.succeeded(began)
        return value

    def _read_pointer(self) -> Published:
        pointer, canary = (each(self._environment) for each in (current_release, canary_release))
        value, split = self._read(pointer, canary)
        if value is None or value == parameters.NO_RELEASE:
            raise PointerUnknown(
                f"the environment {self._environment!r} has no current release yet: deploy one and "
                "wait for its gate, or set TASKFLEET_PINNED_RELEASE"
            )
        if self._current.known is not None and self._current.known.release != value:
            # Not followed before its queues are known, while there is another to stay with.
            self._manifest(value)
        return Published(value, self._split(split, value))

    def _split(self, text: str | None, current: str) -> Split | None:
        """What can't be understood, is of an earlier pointer or to a release without a manifest is none."""
        with contextlib.suppress(ValueError, PointerUnknown):
            split = split_of(text)
            if split is not None and split.beside == current:
                self._manifest(split.release)
                return split
        return None

    def _read_manifest(self, release: str) -> _Manifest:
        name = parameters.release_manifest(self._environment, release)
        (text,) = self._read(name)
        if text is None:
            raise NotDeployed(f"release {release} is not deployed: there is no parameter {name}")
        try:
            manifest = ReleaseManifest.from_json(text)
        except ValueError as error:
            raise PointerUnknown(f"the queues of release {release} can't be understood: {error}") from error
        countdowns = {
            queue: pool.longest_countdown_seconds
            for pool in manifest.pools
            for queue in pool.queues
            if pool.longest_countdown_seconds is not None
        }
        return _Manifest(
            frozenset(manifest.queues),
            frozenset(manifest.confirmed),
            manifest.default_queue,
            countdowns,
            manifest.etas_beyond_seconds,
        )
