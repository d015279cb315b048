"""Keeps what a worker must not run: the message goes to its queue's dead-letter queue, with the reason."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from kombu.message import Message

from taskfleet import aws
from taskfleet.contract import names
from taskfleet.contract.messages import DELIVERIES_HEADER, RELEASE_HEADER
from taskfleet.settings import WorkerSettings

AGAIN_SECONDS = 10
# A message whose worker died so often is taken for the cause. Orderly returns don't count.
MOST_DELIVERIES = 10
NOT_PARKED = (BotoCoreError, ClientError)


def why_not_run(headers: Mapping[str, Any] | None, release: str) -> str | None:
    """Why a worker of ``release`` must not run this message, or None. No stamp is no other release's."""
    known = headers or {}
    stamp = known.get(RELEASE_HEADER)
    if stamp is not None and stamp != release:
        return f"stamped with release {stamp}, received by a worker of {release}"
    deliveries = known.get(DELIVERIES_HEADER, 0)
    if isinstance(deliveries, int) and deliveries >= MOST_DELIVERIES:
        return f"given to {deliveries} workers before, and none came to its end: it seems to kill them"
    return None


def park(settings: WorkerSettings, message: Message, reason: str) -> None:
    """Send it to the dead-letter queue. Raises one of `NOT_PARKED`, and then it is still to be parked."""
    routing_key = (message.delivery_info or {}).get("routing_key") or ""
    _send(settings, routing_key, letter(settings, message, reason))


def park_text(settings: WorkerSettings, *, queue: str, payload: bytes, reason: str) -> None:
    """As `park`, for what Redis held in a queue and is no message (the transport's ``on_malformed``)."""
    _send(settings, queue, letter_of_text(settings, queue=queue, payload=payload, reason=reason))


def _send(settings: WorkerSettings, versioned_queue: str, content: dict[str, Any]) -> None:
    parts = names.split_versioned_queue(versioned_queue)
    queue = parts[0] if parts else settings.queues[0]
    sqs = aws.client("sqs", aws.PROMPT)
    url = sqs.get_queue_url(QueueName=names.dead_letter_queue(settings.environment, queue))["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(content, default=repr))


def letter(settings: WorkerSettings, message: Message, reason: str) -> dict[str, Any]:
    """What is kept: enough to read it, and to send it again."""
    body = message.body if isinstance(message.body, bytes) else str(message.body or "").encode()
    return {
        "reason": reason,
        "at": time.time(),
        "release": settings.release,
        "pool": settings.pool,
        "queue": (message.delivery_info or {}).get("routing_key"),
        "headers": message.headers,
        "properties": message.properties,
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
        "body_base64": base64.b64encode(body).decode(),
    }


def letter_of_text(settings: WorkerSettings, *, queue: str, payload: bytes, reason: str) -> dict[str, Any]:
    """As `letter`: nothing is known of it but its text."""
    return {
        "reason": reason,
        "at": time.time(),
        "release": settings.release,
        "pool": settings.pool,
        "queue": queue,
        "headers": {},
        "properties": {},
        "content_type": None,
        "content_encoding": None,
        "body_base64": base64.b64encode(payload).decode(),
    }
