"""SQS. What many threads send to one queue at once goes out in batches of ten."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from taskfleet import aws, deadline
from taskfleet.brokers.eta import seconds_until
from taskfleet.brokers.sqs import sending
from taskfleet.cached_read import CachedRead
from taskfleet.contract import names
from taskfleet.contract.environment import FALLBACK
from taskfleet.contract.limits import (
    FALLBACK_MAX_ETA_SECONDS,
    FALLBACK_MAX_TIME_LIMIT_SECONDS,
    SQS_MAX_BATCH_MESSAGES,
    SQS_MAX_MESSAGE_BYTES,
)
from taskfleet.publishing.group_commit import Entry, GroupCommit
from taskfleet.publishing.outgoing import Outgoing
from taskfleet.publishing.refusal import NOT_ACCEPTED, Refusal, is_closed

# Calls of one process at once, for each queue. With more threads than this, each call carries several.
CALLS = 16


NO_TIME = Refusal("it did not answer the calls before this one, and no time was left for another")
NOT_SENT = Refusal("it did not answer the call before this one of the same batch")


def _client() -> Any:
    return aws.client("sqs", aws.PROMPT)


class _Queue:
    """One SQS queue, and what waits to be sent to it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._silent = False  # the last call was not answered
        self._url = CachedRead(f"the URL of the SQS queue {name}", self._read_url, keep_seconds=math.inf)
        self._commit = GroupCommit(
            self._exchange,
            round_trips=CALLS,
            most_messages=SQS_MAX_BATCH_MESSAGES,
            most_bytes=SQS_MAX_MESSAGE_BYTES,
        )

    def offer(self, messages: Sequence[Outgoing], *, ends_at: float) -> list[Refusal | None]:
        """For each None if SQS took it."""
        try:
            with deadline.within(ends_at - time.monotonic()):  # a first client is slow to make
                self._url.get()
        except (*NOT_ACCEPTED, LookupError) as error:
            # They were not even sent.
            refusal = Refusal(f"{type(error).__name__}: {error}", closed=is_closed(error))
            return [refusal] * len(messages)
        made = [sending.entry(message.for_sqs()) for message in messages]
        entries = [Entry(each, sending.size(each), ends_at=ends_at) for each in made]
        self._commit.send(entries)
        return [entry.refusal for entry in entries]

    def _exchange(self, entries: Sequence[Entry]) -> None:
        if self._silent:
            entries = _with_time_for_a_call(entries)
        if not entries:
            return
        try:
            contents = [entry.content for entry in entries]
            results: Sequence[Exception | None] = sending.send(_client(), self._url.get(), contents)
            self._silent = False
        except NOT_ACCEPTED as error:
            results = [error] * len(entries)
            self._silent = not isinstance(error, ClientError)
        for entry, result in zip(entries, results, strict=True):
            entry.settle(Refusal.of(result) if result else None)

    def _read_url(self) -> str:
        return sending.queue_url(_client(), self._name)


def _with_time_for_a_call(entries: Sequence[Entry]) -> list[Entry]:
    """Those that could still wait for another call to the end; the others are refused."""
    latest = time.monotonic() + aws.PROMPT_SECONDS
    for entry in entries:
        if entry.ends_at < latest:
            entry.settle(NO_TIME)
    return [entry for entry in entries if not entry.done]


class Fallback:
    """Safe for threads and greenlets, one per process. No client of SQS is made before it is used."""

    def __init__(self, environment: str) -> None:
        self._environment = environment
        self._queues: dict[str, _Queue] = {}

    def offer(self, messages: Sequence[Outgoing]) -> None:
        """Each is accepted, or has why not (``by_fallback``)."""
        for message in messages:
            too_long = _too_long(message.headers)
            message.by_fallback = Refusal(too_long) if too_long else None
        for name, queue in self._by_queue(messages).items():
            left = queue
            while left:
                batch, left = left[:SQS_MAX_BATCH_MESSAGES], left[SQS_MAX_BATCH_MESSAGES:]
                self._offer(name, batch)
                if left and all(
                    each.by_fallback is not None and each.by_fallback.uncertain for each in batch
                ):
                    for message in left:
                        message.by_fallback = NOT_SENT
                    break

    def _by_queue(self, messages: Sequence[Outgoing]) -> dict[str, list[Outgoing]]:
        queues: dict[str, list[Outgoing]] = {}
        for message in messages:
            if message.by_fallback is None:
                where = message.address
                name = names.fallback_queue(self._environment, where.logical, where.release)
                queues.setdefault(name, []).append(message)
        return queues

    def _offer(self, name: str, messages: Sequence[Outgoing]) -> None:
        """SQS has no third broker behind it, so a failure while there is time is tried once more.

        Most often it closed an idle connection, or was busy for a moment.
        """
        queue = self._queues.get(name) or self._queues.setdefault(name, _Queue(name))
        # Their turn may come in the very last moment of their time, but they always get one call's time.
        ends_at = max(messages[0].ends_at, time.monotonic() + aws.PROMPT_SECONDS)
        first = dict(zip(messages, queue.offer(messages, ends_at=ends_at), strict=True))
        again = [message for message, refusal in first.items() if refusal and not refusal.closed]
        second: dict[Outgoing, Refusal | None] = {}
        if again and time.monotonic() + aws.PROMPT_SECONDS <= ends_at:
            second = dict(zip(again, queue.offer(again, ends_at=ends_at), strict=True))
        for message, refusal in first.items():
            later = second.get(message, refusal)
            # It may have taken the first, whatever it says to the second.
            message.by_fallback = later and (refusal if refusal and refusal.uncertain else later)
            if message.by_fallback is None:
                message.accepted_by = FALLBACK


def _too_long(headers: dict[str, Any]) -> str | None:
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
