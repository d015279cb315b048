"""One publish: primary first, then its SQS twin, then an error that says nothing was accepted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from taskfleet import deadline
from taskfleet.brokers.eta import seconds_until
from taskfleet.contract.environment import FALLBACK, PRIMARY
from taskfleet.contract.limits import FALLBACK_MAX_ETA_SECONDS, FALLBACK_MAX_TIME_LIMIT_SECONDS
from taskfleet.contract.messages import PUBLISHED_AT_HEADER, RELEASE_HEADER
from taskfleet.errors import PublishError
from taskfleet.publishing.address import versioned
from taskfleet.publishing.brokers import NOT_ACCEPTED, PRIMARY_SECONDS, Fallback
from taskfleet.publishing.guarded import Guarded, Refusal, refusal
from taskfleet.publishing.pointer import Releases

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
        primary: Guarded,
        confirmed: Guarded,
        fallback: Fallback,
        patience_seconds: float = 0.0,
    ) -> None:
        self._bound_release, self._releases = bound_release, releases
        self._primary, self._confirmed, self._fallback = primary, confirmed, fallback
        self._patience_seconds = patience_seconds

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
        `taskfleet.errors.PointerUnknown` or `PublishError`; in each case nothing was accepted, unless
        ``PublishError.may_run`` says that a broker did not answer in time.
        """
        address = versioned(queue, bound_release=self._bound_release, releases=self._releases)
        headers = options["headers"] = dict(options.get("headers") or {})
        headers[RELEASE_HEADER] = address.release
        headers[PUBLISHED_AT_HEADER] = time.time()
        wanted = _only.get()
        primary = self._confirmed if address.confirmed else self._primary
        with deadline.within(PRIMARY_SECONDS):
            first = NOT_ASKED if wanted == FALLBACK else primary.offer(body, address.queue, options)
            if first is None:
                return PRIMARY
            second = NOT_ASKED if wanted == PRIMARY else self._to_fallback(body, address.queue, options)
            if second is None:
                return FALLBACK
        raise _nobody(headers, address.queue, first, second)

    def _to_fallback(self, body: Any, queue: str, options: dict[str, Any]) -> Refusal | None:
        """None if it was accepted."""
        too_long = _too_long_for_fallback(options["headers"])
        if too_long:
            return Refusal(too_long)
        try:
            self._fallback.send(body, queue, dict(options))
        except NOT_ACCEPTED as error:
            return refusal(error)
        return None


def _too_long_for_fallback(headers: dict[str, Any]) -> str | None:
    """Why SQS could not hold the message until its task is done, or None."""
    ahead = seconds_until(headers, now=time.time())
    if ahead > FALLBACK_MAX_ETA_SECONDS:
        return f"it takes an ETA of {FALLBACK_MAX_ETA_SECONDS} s ahead at most; this one is in {ahead:.0f} s"
    hard, _soft = headers.get("timelimit") or (None, None)
    if hard is not None and hard > FALLBACK_MAX_TIME_LIMIT_SECONDS:
        return (
            f"it takes a hard time limit of {FALLBACK_MAX_TIME_LIMIT_SECONDS} s at most; "
            f"this one has {hard:.0f} s"
        )
    return None


def _nobody(headers: dict[str, Any], queue: str, primary: Refusal, fallback: Refusal) -> PublishError:
    may_run = primary.uncertain or fallback.uncertain
    hence = (
        "one that was given it did not answer in time, so it may run all the same: send it again under the "
        "same task id"
        if may_run
        else "it will not run unless it is sent again"
    )
    return PublishError(
        f"no broker accepted task {headers.get('task')} ({headers.get('id')}) for {queue}; {hence}. "
        f"Redis: {primary.why}. SQS: {fallback.why}.",
        may_run=may_run,
    )
