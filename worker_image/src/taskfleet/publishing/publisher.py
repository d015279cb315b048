"""One publish: primary first, then its SQS queue, then an error that says nothing was accepted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from taskfleet.contract.environment import FALLBACK, PRIMARY
from taskfleet.errors import PublishError, QueueClosed
from taskfleet.publishing.address import versioned
from taskfleet.publishing.fallback import Fallback
from taskfleet.publishing.groups import GroupReleases
from taskfleet.publishing.outgoing import Outgoing
from taskfleet.publishing.pointer import Releases
from taskfleet.publishing.primary import Primary
from taskfleet.publishing.refusal import Refusal

AGAIN_SECONDS = 1.0
NOT_ASKED = Refusal("not asked, by `only`")

_only: ContextVar[str | None] = ContextVar("taskfleet_only_broker", default=None)


@contextlib.contextmanager
def only(broker: str) -> Iterator[None]:
    """Publish to this broker (`primary` or `fallback`) and no other while the block runs.

    For gate tasks and drills, which prove that one broker's consumers work.
    """
    if broker not in (PRIMARY, FALLBACK):
        raise ValueError(f"{broker!r} is no broker: {PRIMARY} or {FALLBACK}")
    token = _only.set(broker)
    try:
        yield
    finally:
        _only.reset(token)


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
        patience_seconds: float = 0.0,
    ) -> None:
        self._bound_release, self._releases = bound_release, releases
        self._primary, self._confirmed, self._fallback = primary, confirmed, fallback
        self._patience_seconds = patience_seconds
        self._groups = GroupReleases()

    def publish(self, body: Any, queue: str, options: dict[str, Any]) -> str:
        """Publish and return the name of the broker that accepted it; try again while there is patience.

        A web process has none. A worker has some: its task did its work already, and nobody waits.
        """
        end, may_run = time.monotonic() + self._patience_seconds, False
        while True:
            try:
                return self._publish(body, queue, options)
            except PublishError as error:
                may_run = error.may_run = error.may_run or may_run
                if time.monotonic() + AGAIN_SECONDS >= end:
                    raise
            time.sleep(AGAIN_SECONDS)

    def _publish(self, body: Any, queue: str, options: dict[str, Any]) -> str:
        """One try.

        ``options`` are those of kombu's ``Producer.publish``. Raises `taskfleet.errors.UnknownQueue`,
        `taskfleet.errors.PointerUnknown`, `QueueClosed`, what `Outgoing` raises, or `PublishError`; in each
        case nothing was accepted, unless ``PublishError.may_run`` says that a broker did not answer in time.
        """
        message = self._address(body, queue, options)
        first = self._to_primary(message)
        if first is not None and first.closed:
            message = self._address_anew(message, body, queue, options)
            first = self._to_primary(message)
            if first is not None and first.closed:
                raise _closed(message)
        if first is None:
            return PRIMARY
        second = NOT_ASKED if _only.get() == PRIMARY else self._fallback.offer(message)
        if second is None:
            return FALLBACK
        raise _nobody(message, first, second)

    def _address(self, body: Any, queue: str, options: dict[str, Any]) -> Outgoing:
        bound = self._bound_release or self._groups.of(options)
        address = versioned(queue, bound_release=bound, releases=self._releases)
        self._groups.note(options, address.release)
        return Outgoing(body, address, options)

    def _address_anew(self, message: Outgoing, body: Any, queue: str, options: dict[str, Any]) -> Outgoing:
        """To the release that is current now, within the time that the message has left."""
        self._groups.forget(options)
        self._releases.renew(within_seconds=message.ends_at - time.monotonic())
        anew = self._address(body, queue, options)
        if anew.queue == message.queue:
            raise _closed(message)
        anew.ends_at = message.ends_at
        return anew

    def _to_primary(self, message: Outgoing) -> Refusal | None:
        """None if it was accepted."""
        if _only.get() == FALLBACK:
            return NOT_ASKED
        return (self._confirmed if message.address.confirmed else self._primary).offer(message)


def _closed(message: Outgoing) -> QueueClosed:
    return QueueClosed(
        f"release {message.address.release} is retired and its queue {message.queue} takes no task any more, "
        f"so {message.name} was not published. Either this producer is pinned to it or named the versioned "
        "queue: leave TASKFLEET_PINNED_RELEASE out, or set it to one that `fleet release list` shows. Or the "
        "current release could not be read anew: then send it again"
    )


def _nobody(message: Outgoing, primary: Refusal, fallback: Refusal) -> PublishError:
    may_run = primary.uncertain or fallback.uncertain
    hence = (
        "one that was given it did not answer in time, so it may run all the same: send it again under the "
        "same task id"
        if may_run
        else "it will not run unless it is sent again"
    )
    return PublishError(
        f"no broker accepted task {message.name} for {message.queue}; {hence}. "
        f"Redis: {primary.why}. SQS: {fallback.why}.",
        may_run=may_run,
    )
