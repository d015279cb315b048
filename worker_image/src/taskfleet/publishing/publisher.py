"""One publish: primary first, then its SQS twin, then an error that says nothing was accepted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from kombu.exceptions import LimitExceeded

from taskfleet.contract.environment import FALLBACK, PRIMARY
from taskfleet.contract.limits import SQS_MAX_RETENTION_SECONDS
from taskfleet.contract.messages import PUBLISHED_AT_HEADER, RELEASE_HEADER
from taskfleet.errors import PublishError
from taskfleet.publishing.address import versioned
from taskfleet.publishing.breaker import Breaker
from taskfleet.publishing.brokers import NOT_ACCEPTED, Broker
from taskfleet.publishing.pointer import Releases
from taskfleet.publishing.probe import Probe

AGAIN_SECONDS = 1.0

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
        primary: Broker,
        fallback: Broker,
        breaker: Breaker,
        probe: Probe,
        patience_seconds: float = 0.0,
    ) -> None:
        self._bound_release, self._releases = bound_release, releases
        self._primary, self._fallback = primary, fallback
        self._breaker, self._probe = breaker, probe
        self._patience_seconds = patience_seconds

    def publish(self, body: Any, queue: str, options: dict[str, Any]) -> str:
        """Publish and return the name of the broker that accepted it; try again while there is patience.

        A web process has none. A worker has some: its task did its work already, and nobody waits.
        """
        end = time.monotonic() + self._patience_seconds
        while True:
            try:
                return self._publish(body, queue, options)
            except PublishError:
                if time.monotonic() + AGAIN_SECONDS >= end:
                    raise
            time.sleep(AGAIN_SECONDS)

    def _publish(self, body: Any, queue: str, options: dict[str, Any]) -> str:
        """One try.

        ``options`` are those of kombu's ``Producer.publish``. Raises `taskfleet.errors.UnknownQueue`,
        `taskfleet.errors.PointerUnknown` or `PublishError`; in each case nothing was accepted, unless
        a broker that did not answer in time took it all the same.
        """
        target, release = versioned(queue, bound_release=self._bound_release, releases=self._releases)
        headers = options["headers"] = dict(options.get("headers") or {})
        headers[RELEASE_HEADER] = release
        headers[PUBLISHED_AT_HEADER] = time.time()
        wanted = _only.get()
        why = "it was not asked to" if wanted == FALLBACK else self._to_primary(body, target, options)
        if why is None:
            return PRIMARY
        if wanted == PRIMARY:
            raise PublishError(_nothing_accepted(headers, target, why, "not asked, by `only`"))
        problem = self._to_fallback(body, target, options)
        if problem is None:
            return FALLBACK
        raise PublishError(_nothing_accepted(headers, target, why, problem))

    def _to_primary(self, body: Any, queue: str, options: dict[str, Any]) -> str | None:
        """None if it was accepted, else why not."""
        if not self._breaker.allows():
            return "its circuit breaker is open: it did not answer lately"
        try:
            self._primary.send(body, queue, dict(options))
        except LimitExceeded:
            # This process is busy with itself, which says nothing about the broker.
            return "all connections of this process were in use"
        except NOT_ACCEPTED as error:
            if self._breaker.failed():
                self._probe.start()
            return _brief(error)
        self._breaker.succeeded()
        return None

    def _to_fallback(self, body: Any, queue: str, options: dict[str, Any]) -> str | None:
        """None if it was accepted, else why not."""
        ahead = _seconds_until(options["headers"].get("eta"))
        if ahead > SQS_MAX_RETENTION_SECONDS:
            # The transport holds a message back for as long as need be, but SQS forgets it then.
            return (
                f"it keeps a message for {SQS_MAX_RETENTION_SECONDS} s at most; the ETA is in {ahead:.0f} s"
            )
        try:
            self._fallback.send(body, queue, dict(options))
        except NOT_ACCEPTED as error:
            return _brief(error)
        return None


def _seconds_until(eta: str | None) -> float:
    if not eta:
        return 0.0
    moment = datetime.fromisoformat(eta)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - datetime.now(UTC)).total_seconds()


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _nothing_accepted(headers: dict[str, Any], queue: str, primary: str, fallback: str) -> str:
    return (
        f"no broker accepted task {headers.get('task')} ({headers.get('id')}) for {queue}; "
        f"it will not run unless it is sent again. Redis: {primary}. SQS: {fallback}."
    )
