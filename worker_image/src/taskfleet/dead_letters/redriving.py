"""Sending a dead letter again: the same task id, to the same logical queue of the current release, on SQS.

Operators do not reach Redis. The queue's SQS twin is run by the pool's fallback service, which wakes for it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from taskfleet.contract import names
from taskfleet.contract.limits import MESSAGE_BODY_MAX_BYTES, SQS_MAX_MESSAGE_BYTES
from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.contract.messages import PUBLISHED_AT_HEADER, RELEASE_HEADER
from taskfleet.dead_letters.dead_letter import DeadLetter
from taskfleet.dead_letters.store import DeadLetters
from taskfleet.errors import DeadLetterError

# The task begins anew: with all its retries, at once, and however late it is.
_ANEW = {"retries": 0, "eta": None, "expires": None}


def sqs_text(letter: DeadLetter, release: str, *, now: float) -> str:
    """The SQS message's text, in kombu's format. Raises `DeadLetterError` for what nothing could run."""
    message = letter.message
    if not letter.task or not letter.task_id:
        raise DeadLetterError("it names no task and id, so no worker could run it: read it, then delete it")
    if len(message.body) > MESSAGE_BODY_MAX_BYTES:
        raise DeadLetterError(
            f"its body has {len(message.body)} bytes, and workers take {MESSAGE_BODY_MAX_BYTES} at most"
        )
    try:
        body = message.body.decode()
    except UnicodeDecodeError as error:
        raise DeadLetterError(f"its body is not text, so no worker would read it: {error}") from error
    headers = {**message.headers, **_ANEW, RELEASE_HEADER: release, PUBLISHED_AT_HEADER: now}
    routing = {"exchange": "", "routing_key": names.versioned_queue(letter.queue, release)}
    kept = {name: message.properties.get(name) for name in ("correlation_id", "reply_to", "priority")}
    text = json.dumps(
        {
            "body": body,
            "content-encoding": message.content_encoding or "utf-8",
            "content-type": message.content_type or "application/json",
            "headers": headers,
            "properties": {
                **{name: value for name, value in kept.items() if value is not None},
                "delivery_mode": 2,
                "delivery_tag": letter.id,
                "delivery_info": routing,
                "body_encoding": "utf-8",
            },
        }
    )
    if len(text.encode()) > SQS_MAX_MESSAGE_BYTES:
        raise DeadLetterError(f"SQS takes {SQS_MAX_MESSAGE_BYTES} bytes at most, and it has {len(text)}")
    return text


class Redrive:
    """Sends letters to the current release, one after the other, each safe to interrupt and to repeat."""

    def __init__(
        self,
        *,
        sqs: Any,
        store: DeadLetters,
        environment: str,
        manifest: ReleaseManifest,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sqs, self._store, self._environment, self._manifest = sqs, store, environment, manifest
        self._pause, self._clock, self._sleep = 1 / per_second, clock, sleep
        self._urls: dict[str, str] = {}
        self._next = clock()

    def check(self, letter: DeadLetter) -> None:
        """Raise `DeadLetterError` if it can't be sent."""
        self._queue(letter)
        sqs_text(letter, self._manifest.release, now=0.0)

    def send(self, letter: DeadLetter) -> None:
        """Send it, and delete it once SQS has accepted it. Waits for its turn. AWS's errors pass through.

        Interrupted in between, the letter is still there, and sent again next time: at least once.
        """
        queue = self._queue(letter)
        text = sqs_text(letter, self._manifest.release, now=time.time())
        self._sleep(max(0.0, self._next - self._clock()))
        self._next = max(self._next, self._clock()) + self._pause
        self._sqs.send_message(QueueUrl=self._url(queue), MessageBody=text)
        self._store.delete(letter.id)

    def _queue(self, letter: DeadLetter) -> str:
        if letter.queue not in self._manifest.queues:
            raise DeadLetterError(
                f"release {self._manifest.release} has no queue {letter.queue!r}: "
                f"{', '.join(sorted(self._manifest.queues))}"
            )
        return names.fallback_queue(self._environment, letter.queue, self._manifest.release)

    def _url(self, queue: str) -> str:
        if queue not in self._urls:
            self._urls[queue] = self._sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        return self._urls[queue]
