"""Moves what the queues of a release still hold into the dead-letter store, for one that is being retired.

Its workers sleep and both brokers refuse publishes to it, so nothing comes or goes meanwhile. A letter is
kept before its message is removed; its id comes from the message, so that doing it twice is doing it once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from taskfleet.contract import names
from taskfleet.contract.limits import redis_lists
from taskfleet.contract.messages import REDIS_SCHEDULED, REDIS_SCHEDULED_MESSAGES
from taskfleet.dead_letters.collecting import envelope, received
from taskfleet.dead_letters.dead_letter import DeadLetter, DeadLetterKind, id_of
from taskfleet.dead_letters.store import DeadLetters
from taskfleet.dead_letters.writing import readable

# Messages of one queue in one look, on each broker.
AT_ONCE = 50


def redis_queue(client: Any, store: DeadLetters, queue: str, release: str, reason: str) -> int:
    """How many were moved from a versioned queue, those that wait for their ETA included.

    Raises redis-py's and botocore's errors.
    """
    versioned, moved = names.versioned_queue(queue, release), 0
    for key in redis_lists(versioned):
        for text in client.lrange(key, 0, AT_ONCE - 1):
            letter = _letter(_decoded(text), queue, release, reason)
            store.put(letter)
            if client.lrem(key, 1, text):
                moved += 1
            else:  # a worker took it meanwhile: it is run
                store.delete(letter.id)
    return moved + _scheduled(client, store, queue, release, reason)


def _scheduled(client: Any, store: DeadLetters, queue: str, release: str, reason: str) -> int:
    versioned = names.versioned_queue(queue, release)
    due, messages = REDIS_SCHEDULED + versioned, REDIS_SCHEDULED_MESSAGES + versioned
    ids = client.zrange(due, 0, AT_ONCE - 1)
    for id in ids:
        text = client.hget(messages, id)
        if text is not None:
            store.put(_letter(_decoded(text).partition(":")[2], queue, release, reason))
        client.zrem(due, id)
        client.hdel(messages, id)
    return len(ids)


def sqs_queue(
    sqs: Any, store: DeadLetters, environment: str, queue: str, release: str, reason: str
) -> Iterator[DeadLetter]:
    """The letters of what was moved from a fallback queue. Raises botocore's errors."""
    url = sqs.get_queue_url(QueueName=names.fallback_queue(environment, queue, release))["QueueUrl"]
    for message in received(sqs, url):
        letter = _letter(message["Body"], queue, release, reason)
        store.put(letter)
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        yield letter


def _letter(text: str, queue: str, release: str, reason: str) -> DeadLetter:
    kept = envelope(text)
    task, task_id = kept.headers.get("task"), kept.headers.get("id")
    return DeadLetter(
        id=id_of(f"retired:{release}:{queue}:{text}"),
        queue=queue,
        task=None if task is None else str(task),
        task_id=None if task_id is None else str(task_id),
        release=release,
        pool=None,
        kind=DeadLetterKind.RELEASE_RETIRED,
        reason=reason,
        at=time.time(),
        args=readable(kept),
        message=kept,
    )


def _decoded(text: Any) -> str:
    return text.decode(errors="surrogateescape") if isinstance(text, bytes) else str(text)
