"""One message on its way: what it is, where it goes, and how long it may take."""

from __future__ import annotations

import time
from typing import Any

from taskfleet.brokers.eta import seconds_until
from taskfleet.contract.messages import PUBLISHED_AT_HEADER, RELEASE_HEADER
from taskfleet.errors import CountdownTooLong
from taskfleet.publishing import encoding
from taskfleet.publishing.address import Address

# For both brokers together. A publish that is still to be sent to SQS then ends; one that is under way may
# take as long as a call of SQS's (`taskfleet.aws.PROMPT`).
SECONDS = 2.0


class Outgoing:
    """Made from what kombu's ``Producer.publish`` gets; the arguments are serialised once, for either broker.

    Raises `taskfleet.errors.MessageTooLarge`, `taskfleet.errors.InvalidTask` and
    `taskfleet.errors.CountdownTooLong`.
    """

    def __init__(self, body: Any, address: Address, options: dict[str, Any]) -> None:
        self.address = address
        self.ends_at = time.monotonic() + SECONDS
        self.headers = dict(options.get("headers") or {})
        self.headers[RELEASE_HEADER] = address.release
        self.headers[PUBLISHED_AT_HEADER] = time.time()
        _check_eta(self.headers, address)
        self._made = encoding.message(body, address.queue, options | {"headers": self.headers})

    @property
    def queue(self) -> str:
        """The versioned queue."""
        return self.address.queue

    @property
    def name(self) -> str:
        """The task and its id, for people."""
        return f"{self.headers.get('task')} ({self.headers.get('id')})"

    def for_redis(self) -> tuple[int, dict[str, Any]]:
        """The step of its priority, and the message."""
        return encoding.for_redis(self._made, self.queue)

    def for_sqs(self) -> dict[str, Any]:
        """The message."""
        return encoding.for_sqs(self._made, self.queue)


def _check_eta(headers: dict[str, Any], address: Address) -> None:
    most = address.longest_countdown
    if most is None:
        return
    ahead = seconds_until(headers, now=time.time())
    if ahead > most + 1:  # a countdown of exactly so much is allowed, however the clock is read
        raise CountdownTooLong(
            f"task {headers.get('task')} ({headers.get('id')}) is to run in {ahead:.0f} s, and the pool of "
            f"queue {address.logical!r} takes {most} s at most. Nothing was published. Raise or drop "
            "limits.longest_countdown_seconds of the pool in infra/environments.py, or keep the date in a "
            "database and publish when it comes (a periodic task)"
        )
