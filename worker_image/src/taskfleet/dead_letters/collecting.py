"""What others put aside: SQS itself (after too many receives), and workers that could not reach the store.

The controller brings both into the store, a bounded number at each look. Each letter's id comes from the
message: if the controller dies between keeping it and removing it there, the next look keeps it again,
as the same letter.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import redis
from botocore.exceptions import ClientError
from kombu.message import Message as Received
from kombu.utils.json import loads

from taskfleet.contract import names
from taskfleet.contract.messages import REDIS_PARKED, RELEASE_HEADER
from taskfleet.dead_letters.dead_letter import DeadLetter, DeadLetterKind, Message, id_of
from taskfleet.dead_letters.store import DeadLetters
from taskfleet.dead_letters.writing import nothing_known, readable, whole

MOST_IN_A_LOOK = 50
_AT_ONCE = 10  # ReceiveMessage
# Longer than a look: what could not be kept is tried again by a later one.
_HIDDEN_SECONDS = 30
# What DynamoDB says of an item that it will never take.
_OF_THIS_ONE = frozenset({"ValidationException", "ItemCollectionSizeLimitExceededException"})


def from_sqs(sqs: Any, store: DeadLetters, environment: str, queue: str) -> Iterator[str | None]:
    """Move messages of a logical queue's SQS dead-letter queue: for each None, or why the store refuses it.

    One that is refused stays there, and does not keep those behind it. Other errors of AWS pass through.
    """
    url = sqs.get_queue_url(QueueName=names.dead_letter_queue(environment, queue))["QueueUrl"]
    for message in received(sqs, url):
        refused = _refused(store, letter_of_sqs(message, queue=queue))
        if refused is None:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        yield refused


def received(sqs: Any, url: str) -> Iterator[Mapping[str, Any]]:
    """Messages of an SQS queue, `MOST_IN_A_LOOK` at most; each is hidden for longer than a look."""
    for _ in range(MOST_IN_A_LOOK // _AT_ONCE):
        found: Iterable[Mapping[str, Any]] = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=_AT_ONCE,
            VisibilityTimeout=_HIDDEN_SECONDS,
            WaitTimeSeconds=0,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "DeadLetterQueueSourceArn"],
        ).get("Messages", [])
        if not found:
            return
        yield from found


def from_redis(primary: redis.Redis, store: DeadLetters, versioned_queue: str) -> Iterator[str | None]:
    """As `from_sqs`, for what the Redis transport kept of a queue. Errors of Redis pass through."""
    key = REDIS_PARKED + versioned_queue
    texts: Any = primary.lrange(key, 0, MOST_IN_A_LOOK - 1)
    for text in texts:
        refused = _refused(store, letter_of_redis(text, versioned_queue=versioned_queue))
        if refused is not None:
            # To the end: with as many refused ones at the head as a look takes, nothing else would move.
            primary.rpush(key, text)
        primary.lrem(key, 1, text)
        yield refused


def _refused(store: DeadLetters, letter: DeadLetter) -> str | None:
    """Keep a letter; why DynamoDB refuses it, or None. Raises errors that others would meet, too."""
    try:
        store.put(letter)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _OF_THIS_ONE:
            raise
        return f"DynamoDB refuses dead letter {letter.id} of {letter.queue}: {error}"
    return None


def letter_of_sqs(message: Mapping[str, Any], *, queue: str) -> DeadLetter:
    """A letter of a message that SQS moved to a dead-letter queue."""
    kept = envelope(message["Body"])
    headers, attributes = kept.headers, message.get("Attributes", {})
    twin = str(attributes.get("DeadLetterQueueSourceArn", "its queue")).rpartition(":")[2]
    return DeadLetter(
        id=id_of(f"sqs:{message['MessageId']}"),
        queue=queue,
        task=_text(headers.get("task")),
        task_id=_text(headers.get("id")),
        release=_text(headers.get(RELEASE_HEADER)),
        pool=None,
        kind=DeadLetterKind.TOO_MANY_DELIVERIES,
        reason=f"SQS gave it to workers from {twin} as often as it may, and none acknowledged it",
        at=time.time(),
        args=readable(kept),
        message=kept,
    )


def letter_of_redis(text: bytes, *, versioned_queue: str) -> DeadLetter:
    """A letter of what `taskfleet.brokers.redis.payloads.parked` wrote."""
    kept = _kept(text)
    queue, release = names.split_versioned_queue(versioned_queue) or (versioned_queue, None)
    return DeadLetter(
        id=id_of(f"redis:{versioned_queue}:{text!r}"),
        queue=queue,
        task=None,
        task_id=None,
        release=release,
        pool=None,
        kind=DeadLetterKind.NOT_A_MESSAGE,
        reason=kept["reason"],
        at=kept["at"],
        message=nothing_known(kept["payload"].encode(errors="backslashreplace")),
    )


def _kept(text: bytes) -> Mapping[str, Any]:
    """What a worker wrote there; whatever else stands in the list is a payload of its own."""
    try:
        kept = json.loads(text)
        return {"reason": str(kept["reason"]), "at": float(kept["at"]), "payload": str(kept["payload"])}
    except (ValueError, TypeError, KeyError) as error:
        payload = text.decode(errors="backslashreplace")
        return {"reason": f"no worker wrote this: {error!r}", "at": time.time(), "payload": payload}


def envelope(text: str) -> Message:
    """kombu's message in an SQS message's text; the text as it is if there is none."""
    try:
        payload = loads(text)
        body = payload["body"]
        if not isinstance(body, str | bytes):
            raise TypeError(f"a body that is a {type(body).__name__}")
        received = Received(
            body=body,
            headers=dict(payload.get("headers") or {}),
            properties=dict(payload.get("properties") or {}),
            content_type=payload.get("content-type"),
            content_encoding=payload.get("content-encoding"),
            postencode="utf-8",
        )
    except Exception:  # noqa: BLE001 - one that gets through keeps all behind it from the store
        return nothing_known(text.encode())
    return whole(received)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
