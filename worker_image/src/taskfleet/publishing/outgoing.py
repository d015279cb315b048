"""One message on its way: what it is, where it goes, how long it may take, and what became of it."""

from __future__ import annotations

import time
from typing import Any

from taskfleet import boot_clock
from taskfleet.brokers.eta import seconds_until
from taskfleet.contract.etas import FARTHEST_SECONDS
from taskfleet.contract.messages import PUBLISHED_AT_HEADER, RELEASE_HEADER
from taskfleet.errors import CountdownTooLong, TaskfleetError
from taskfleet.publishing import encoding
from taskfleet.publishing.address import Address
from taskfleet.publishing.refusal import Refusal

# For both brokers together. A publish that is still to be sent to SQS then ends; one that is under way may
# take as long as a call of SQS's (`taskfleet.aws.PROMPT`).
SECONDS = 2.0


class Outgoing:
    """Made from what kombu's ``Producer.publish`` gets; the arguments are serialised once, for either broker.

    In the end it has the name of the broker that accepted it (``accepted_by``), or an ``error``.
    """

    def __init__(self, body: Any, queue: str, options: dict[str, Any], address: Address) -> None:
        self.body, self.asked, self.options = body, queue, options
        self.accepted_by: str | None = None
        self.error: TaskfleetError | None = None
        self.may_run = False
        # What comes from the table of ETAs does not go there again, and has a name by which Redis knows it
        # until it is due: sent twice, it is one message.
        self.comes_from_table_as: str | None = None
        self.address_to(address)

    def address_to(self, address: Address) -> None:
        """Make the message for this queue; a retired release's goes to another.

        Raises `taskfleet.errors.MessageTooLarge`, `taskfleet.errors.InvalidTask` and
        `taskfleet.errors.CountdownTooLong`.
        """
        self.address, self.addressed_at = address, boot_clock.now()
        self.headers = dict(self.options.get("headers") or {})
        self.headers[RELEASE_HEADER] = address.release
        self.headers[PUBLISHED_AT_HEADER] = time.time()
        _check_eta(self.headers, address)
        self._made = encoding.message(self.body, address.queue, self.options | {"headers": self.headers})
        self.for_redis = encoding.for_redis(self._made, address.queue)

    @property
    def is_far(self) -> bool:
        """Whether its ETA is too far ahead for a queue."""
        beyond = self.address.etas_beyond
        if beyond is None or self.comes_from_table_as or not self.headers.get("eta"):
            return False
        return beyond < seconds_until(self.headers, now=time.time()) <= FARTHEST_SECONDS

    def text(self) -> str:
        """Its arguments as JSON, as they were before any compression."""
        return encoding.text(self._made, self.body)

    def begin(self) -> None:
        """Its time begins."""
        self.ends_at = time.monotonic() + SECONDS
        self.by_primary: Refusal | None = None
        self.by_fallback: Refusal | None = None

    @property
    def under_way(self) -> bool:
        """Whether neither a broker nor an error has ended it."""
        return self.accepted_by is None and self.error is None

    @property
    def body_size(self) -> int:
        """Bytes of its arguments."""
        return encoding.size(self._made)

    @property
    def queue(self) -> str:
        """The versioned queue."""
        return self.address.queue

    @property
    def id(self) -> str:
        """The task's."""
        return str(self.headers.get("id"))

    @property
    def name(self) -> str:
        """The task and its id, for people."""
        return f"{self.headers.get('task')} ({self.headers.get('id')})"

    @property
    def size(self) -> int:
        """Its bytes for Redis."""
        return len(self.for_redis.text)  # ASCII

    def for_sqs(self) -> dict[str, Any]:
        """The message as kombu's SQS transport writes it."""
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
