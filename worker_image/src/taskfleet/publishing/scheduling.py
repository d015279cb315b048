"""Far ETAs on their way into their table; what DynamoDB does not take in time goes to a queue instead."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from taskfleet import aws
from taskfleet.brokers.eta import seconds_until
from taskfleet.contract import names
from taskfleet.contract.limits import DYNAMODB_MAX_ITEM_BYTES
from taskfleet.contract.messages import PUBLISHED_AT_HEADER, RELEASE_HEADER
from taskfleet.etas.eta import Binding, Eta, Item, to_item
from taskfleet.etas.store import MOST_PUT_BYTES, MOST_PUTS, Etas, key_of, size
from taskfleet.logs import logger
from taskfleet.publishing.outgoing import Outgoing

# What takes a message, beside the brokers.
ETAS = "etas"
# DynamoDB that did not take one is left alone for so long: the others go to the queues at once.
AGAIN_SECONDS = 10.0
# Names and keys of an item, and what DynamoDB's own count of it may differ by.
_BESIDE_BYTES = 4096
# Of one message, or of the call: nothing is wrong with DynamoDB.
_OF_THE_MESSAGE = frozenset({"ValidationException", "SerializationException"})
# What is made anew when it is sent.
_ANEW_HEADERS = (RELEASE_HEADER, PUBLISHED_AT_HEADER, "compression")
_ANEW_OPTIONS = ("headers", "serializer", "content_type", "content_encoding")


class Scheduling:
    """One per process. Safe for threads and greenlets. ``binding`` is that of what it publishes."""

    def __init__(
        self, environment: str, binding: Binding, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._etas, self._binding, self._clock = Etas(_client, environment), binding, clock
        self._not_before = 0.0
        self._said: str | None = None

    def offer(self, messages: Sequence[Outgoing]) -> None:
        """Those whose ETA is far are accepted, or left as they are: never refused for this table."""
        far = [message for message in messages if message.is_far]
        if not far or self._clock() < self._not_before:
            return
        _client()  # the first is slow to make: that is no time of DynamoDB's
        for batch in _batches([(message, item) for message in far if (item := self._item(message))]):
            # Redis still has its time then, and SQS gets a call's time always.
            if time.monotonic() + aws.BRIEF_SECONDS > batch[0][0].ends_at or not self._put(batch):
                return

    def _put(self, batch: Sequence[tuple[Outgoing, Item]]) -> bool:
        """Whether to go on."""
        try:
            # Of two with one key, one: they are the same message.
            self._etas.put(list({str(key_of(item)): item for _, item in batch}.values()))
        except (BotoCoreError, ClientError) as error:
            return self._failed(error)
        self._said = None
        for message, _ in batch:
            message.accepted_by = ETAS
        return True

    def _failed(self, error: Exception) -> bool:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        if code not in _OF_THE_MESSAGE:
            self._not_before = self._clock() + AGAIN_SECONDS
        if self._said != code:
            self._said = code
            logger.warning("far ETAs go to the queues for now, since DynamoDB does not take them: %s", error)
        return code in _OF_THE_MESSAGE

    def _item(self, message: Outgoing) -> Item | None:
        """None of what DynamoDB could not keep."""
        try:
            item = to_item(_eta(message, self._binding))
        except (TypeError, ValueError):
            return None  # nor could a broker: it will say so
        return item if size(item) + _BESIDE_BYTES <= DYNAMODB_MAX_ITEM_BYTES else None


def _eta(message: Outgoing, binding: Binding) -> Eta:
    where, now = message.address, time.time()
    if binding is Binding.CURRENT and names.split_versioned_queue(message.asked):
        binding = Binding.PINNED
    return Eta(
        due=now + seconds_until(message.headers, now=now),
        id=message.id,
        task=str(message.headers.get("task")),
        queue=where.logical,
        binding=binding,
        release=None if binding is Binding.CURRENT else where.release,
        at=now,
        headers={name: value for name, value in message.headers.items() if name not in _ANEW_HEADERS},
        options={name: value for name, value in message.options.items() if name not in _ANEW_OPTIONS},
        body=message.text(),
    )


def _batches(entries: Sequence[tuple[Outgoing, Item]]) -> Iterator[list[tuple[Outgoing, Item]]]:
    """As few as there can be; at least one message each."""
    batch: list[tuple[Outgoing, Item]] = []
    total = 0
    for entry in entries:
        total += size(entry[1])
        if batch and (len(batch) == MOST_PUTS or total > MOST_PUT_BYTES):
            yield batch
            batch, total = [], size(entry[1])
        batch.append(entry)
    if batch:
        yield batch


def _client() -> Any:
    return aws.client("dynamodb", aws.BRIEF)
