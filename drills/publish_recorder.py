"""What a publish does not say by itself: who accepted it, what SQS took, whether a breaker opened."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from taskfleet.publishing.breaker import Breaker
from taskfleet.publishing.outgoing import Outgoing
from taskfleet.publishing.publisher import Publisher


class PublishRecorder:
    """Of the latest publish of this process since `begin`. For a process with one thread."""

    def __init__(self, publisher: Publisher) -> None:
        self.broker: str | None = None
        self.sqs_seconds: float | None = None
        self.opened = False
        self._watch_publisher(publisher)
        self._watch_sqs(publisher)
        self._watch_breakers()

    def begin(self) -> None:
        """Forget the publish before."""
        self.broker, self.sqs_seconds, self.opened = None, None, False

    def _watch_publisher(self, publisher: Publisher) -> None:
        send = publisher.send

        def watched(messages: Sequence[Outgoing]) -> None:
            send(messages)
            self.broker = messages[-1].accepted_by

        publisher.send = watched  # type: ignore[method-assign]

    def _watch_sqs(self, publisher: Publisher) -> None:
        fallback = publisher._fallback
        offer = fallback.offer

        def watched(*arguments: Any) -> Any:
            began = time.monotonic()
            try:
                return offer(*arguments)
            finally:
                self.sqs_seconds = time.monotonic() - began

        fallback.offer = watched  # type: ignore[method-assign, assignment]

    def _watch_breakers(self) -> None:
        failed = Breaker.failed

        def watched(breaker: Breaker) -> bool:
            opened = failed(breaker)
            self.opened = self.opened or opened
            return opened

        Breaker.failed = watched  # type: ignore[method-assign, assignment]
