"""One publish: primary first, then its SQS queue, then an error that says nothing was accepted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from taskfleet import boot_clock
from taskfleet.contract.environment import FALLBACK, PRIMARY
from taskfleet.contract.leases import UNLEASED_SECONDS
from taskfleet.contract.limits import MESSAGE_BODY_MAX_BYTES
from taskfleet.errors import PublishError, QueueClosed, TaskfleetError
from taskfleet.logs import logger
from taskfleet.publishing import chains, encoding, workflow
from taskfleet.publishing.address import Address, versioned
from taskfleet.publishing.fallback import Fallback
from taskfleet.publishing.groups import GroupReleases
from taskfleet.publishing.leasing import ProducerLease
from taskfleet.publishing.outgoing import Outgoing
from taskfleet.publishing.pointer import Releases
from taskfleet.publishing.primary import Primary
from taskfleet.publishing.refusal import Refusal
from taskfleet.publishing.scheduling import Scheduling

AGAIN_SECONDS = 1.0
NOT_ASKED = Refusal("not asked, by `force_broker`")

_forced: ContextVar[str | None] = ContextVar("taskfleet_forced_broker", default=None)


@contextlib.contextmanager
def force_broker(broker: str) -> Iterator[None]:
    """Publish to this broker (`primary` or `fallback`) and no other while the block runs.

    For gate tasks and drills, which prove that one broker's consumers work.
    """
    if broker not in (PRIMARY, FALLBACK):
        raise ValueError(f"{broker!r} is no broker: {PRIMARY} or {FALLBACK}")
    token = _forced.set(broker)
    try:
        yield
    finally:
        _forced.reset(token)


class Publisher:
    """What one process publishes with."""

    def __init__(
        self,
        *,
        bound_release: str | None,
        releases: Releases,
        primary: Primary,
        confirmed: Primary,
        fallback: Fallback,
        scheduling: Scheduling | None = None,
        lease: ProducerLease | None = None,
        patience_seconds: float = 0.0,
        warning_bytes: int | None = None,
        most_members: int | None = None,
    ) -> None:
        self._bound_release, self._releases, self._lease = bound_release, releases, lease
        self._primary, self._confirmed, self._fallback = primary, confirmed, fallback
        self._scheduling = scheduling
        self._patience_seconds = patience_seconds
        self._groups = GroupReleases()
        self._warning_bytes, self._most_members = warning_bytes, most_members
        self._warned: set[object] = set()

    def publish(self, body: Any, queue: str, options: dict[str, Any]) -> str:
        """Publish one message and return the name of the broker that accepted it, or `scheduling.ETAS`.

        Raises as `message`, `QueueClosed`, or `PublishError`; in each case nothing was accepted, unless
        ``PublishError.may_run`` says that a broker did not answer in time.
        """
        message = self.message(body, queue, options)
        self.send([message])
        if message.error is not None:
            raise message.error
        return str(message.accepted_by)

    def message(self, body: Any, queue: str, options: dict[str, Any]) -> Outgoing:
        """What `send` takes. ``options`` are those of kombu's ``Producer.publish``.

        Raises `taskfleet.errors.UnknownQueue`, `taskfleet.errors.PointerUnknown`,
        `taskfleet.errors.ChainTooLong`, and what `Outgoing` does.
        """
        chains.check(body, options.get("headers") or {}, self._most_members)
        message = Outgoing(body, queue, options, self._address(queue, options))
        self._warn(message, body)
        return message

    def send(self, messages: Sequence[Outgoing]) -> None:
        """Send them together; each says then what became of it. Try again while there is patience.

        A web process has none. A worker has some: its task did its work already, and nobody waits.
        """
        end = time.monotonic() + self._patience_seconds
        self._address_what_is_old(messages)
        self._try([message for message in messages if message.under_way])
        while left := [message for message in messages if isinstance(message.error, PublishError)]:
            if time.monotonic() + AGAIN_SECONDS >= end:
                return
            time.sleep(AGAIN_SECONDS)
            for message in left:
                message.error = None
                self._address_anew(message)
            self._try([message for message in left if message.under_way])

    def _address_what_is_old(self, messages: Sequence[Outgoing]) -> None:
        """A process may be suspended between the two."""
        now = boot_clock.now()
        for message in messages:
            if now - message.addressed_at > UNLEASED_SECONDS:
                self._address_anew(message)

    def end_lease(self) -> None:
        """This process publishes no more, for now: no drain waits for it."""
        if self._lease is not None:
            self._lease.end()

    def _try(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            message.begin()
        if self._scheduling is not None and _forced.get() is None:
            self._scheduling.offer(messages)
        self._to_primary([message for message in messages if message.under_way])
        self._follow([each for each in messages if each.by_primary is not None and each.by_primary.closed])
        left = [message for message in messages if message.under_way]
        if _forced.get() == PRIMARY:
            for message in left:
                message.by_fallback = NOT_ASKED
        elif left:
            self._fallback.offer(left)
            denied = [each for each in left if each.by_fallback is not None and each.by_fallback.closed]
            if moved := self._to_the_current_release(denied):
                self._fallback.offer(moved)
        for message in left:
            if message.under_way:
                message.error = _nobody(message)

    def _follow(self, closed: Sequence[Outgoing]) -> None:
        """Those that Redis refused as closed."""
        moved = self._to_the_current_release(closed)
        for message in closed:
            if message.under_way and message not in moved:
                message.error = _closed(message)
        self._to_primary(moved)
        for message in moved:
            if message.under_way and message.by_primary is not None and message.by_primary.closed:
                message.error = _closed(message)

    def _to_the_current_release(self, closed: Sequence[Outgoing]) -> list[Outgoing]:
        """Those that go to another queue now; the pointer is read anew within the time they have left."""
        if not closed:
            return []
        for message in closed:
            self._groups.forget(message.options)
        self._releases.renew(within_seconds=closed[0].ends_at - time.monotonic())
        before = {message: message.queue for message in closed}
        for message in closed:
            self._address_anew(message)
        return [message for message in closed if message.under_way and message.queue != before[message]]

    def _address(self, queue: str, options: dict[str, Any]) -> Address:
        bound = self._bound_release or self._groups.of(options)
        root = workflow.root_of(options.get("headers") or {})
        address = versioned(queue, bound_release=bound, releases=self._releases, root=root)
        self._groups.note(options, address.release)
        if self._lease is not None:
            self._lease.used(address.release)
        return address

    def _warn(self, message: Outgoing, body: Any) -> None:
        """Say once for each task that its arguments are large."""
        task = message.headers.get("task")
        if self._warning_bytes is None or message.body_size <= self._warning_bytes or task in self._warned:
            return
        self._warned.add(task)
        logger.warning(
            "the arguments of %s have %d bytes%s: pass a key instead (taskfleet.tools.store); "
            "above %d bytes they are refused",
            message.name,
            message.body_size,
            encoding.largest(body),
            MESSAGE_BODY_MAX_BYTES,
        )

    def _address_anew(self, message: Outgoing) -> None:
        try:
            message.address_to(self._address(message.asked, message.options))
        except TaskfleetError as error:
            message.error = error

    def _to_primary(self, messages: Sequence[Outgoing]) -> None:
        if _forced.get() == FALLBACK:
            for message in messages:
                message.by_primary = NOT_ASKED
            return
        for primary, confirmed in ((self._primary, False), (self._confirmed, True)):
            part = [message for message in messages if message.address.confirmed is confirmed]
            if part:
                primary.offer(part)


def _closed(message: Outgoing) -> QueueClosed:
    return QueueClosed(
        f"release {message.address.release} is retired and its queue {message.queue} takes no task any more, "
        f"so {message.name} was not published. Either this producer is pinned to it or named the versioned "
        "queue: leave TASKFLEET_PINNED_RELEASE out, or set it to one that `fleet release list` shows. Or the "
        "current release could not be read anew: then send it again"
    )


def _nobody(message: Outgoing) -> PublishError:
    refusals = {"Redis": message.by_primary, "SQS": message.by_fallback}
    message.may_run = message.may_run or any(
        each is not None and each.uncertain for each in refusals.values()
    )
    hence = (
        "one that was given it did not answer in time, so it may run all the same: send it again under the "
        "same task id"
        if message.may_run
        else "it will not run unless it is sent again"
    )
    why = " ".join(f"{name}: {each.why}." for name, each in refusals.items() if each is not None)
    return PublishError(
        f"no broker accepted task {message.name} for {message.queue}; {hence}. {why}", may_run=message.may_run
    )
