"""One message on its way: what it is, where it goes, and how long it may take."""

from __future__ import annotations

import time
from typing import Any

from taskfleet.contract.messages import PUBLISHED_AT_HEADER, RELEASE_HEADER
from taskfleet.publishing import encoding
from taskfleet.publishing.address import Address

# For both brokers together. A publish that is still to be sent to SQS then ends; one that is under way may
# take as long as a call of SQS's (`taskfleet.aws.PROMPT`).
SECONDS = 2.0


class Outgoing:
    """Made from what kombu's ``Producer.publish`` gets; the arguments are serialised once, for either broker.

    Raises `taskfleet.errors.MessageTooLarge` and `taskfleet.errors.InvalidTask`.
    """

    def __init__(self, body: Any, address: Address, options: dict[str, Any]) -> None:
        self.address = address
        self.ends_at = time.monotonic() + SECONDS
        self.headers = dict(options.get("headers") or {})
        self.headers[RELEASE_HEADER] = address.release
        self.headers[PUBLISHED_AT_HEADER] = time.time()
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
