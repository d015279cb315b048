"""Letters of what a worker holds: a message, what was none, or a task that failed for good."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from kombu.message import Message as Received
from kombu.utils.encoding import safe_repr, safe_str
from kombu.utils.json import loads

from taskfleet.contract.messages import DELIVERIES_HEADER, PUBLISHED_AT_HEADER
from taskfleet.dead_letters.dead_letter import DeadLetter, DeadLetterKind, Finding, Message, id_of
from taskfleet.settings import WorkerSettings

# Ours, from receipt to receipt: true of one delivery only.
_OF_THE_DELIVERY = (DELIVERIES_HEADER, "redelivered")


def of_message(
    settings: WorkerSettings,
    message: Received,
    finding: Finding,
    *,
    exception: str | None = None,
    traceback: str | None = None,
) -> DeadLetter:
    """A letter of a message as Celery received it."""
    headers = message.headers if isinstance(message.headers, Mapping) else {}
    return DeadLetter(
        id=_id(message, headers),
        queue=settings.logical_queue(message.delivery_info),
        task=_text(headers.get("task")),
        task_id=_text(headers.get("id")),
        release=settings.release,
        pool=settings.pool,
        kind=finding.kind,
        reason=finding.reason,
        at=time.time(),
        exception=exception,
        traceback=traceback,
        args=shown(headers, lambda: message.payload),
        message=whole(message),
    )


def _id(message: Received, headers: Mapping[str, Any]) -> str:
    """The same for the same message: one whose acknowledgement was lost is written again, not once more.

    A task that was sent again (redriven, retried, by its caller) is another message, and has another one.
    """
    delivery = message.delivery_info if isinstance(message.delivery_info, Mapping) else {}
    sqs_message = delivery.get("sqs_message")
    if isinstance(sqs_message, Mapping) and sqs_message.get("MessageId"):
        key: tuple[Any, ...] = ("sqs", sqs_message["MessageId"])
    elif headers.get("id") and headers.get("task"):
        said = (headers.get(name) for name in ("task", "id", "retries", "eta", PUBLISHED_AT_HEADER))
        key = (*said, _bytes(message.body))
    else:
        key = ("delivery", message.delivery_tag)
    return id_of(safe_repr(key))


def of_text(settings: WorkerSettings, *, versioned_queue: str, payload: bytes, reason: str) -> DeadLetter:
    """A letter of what Redis held in a queue and is no message."""
    return DeadLetter(
        queue=settings.logical_queue({"routing_key": versioned_queue}),
        task=None,
        task_id=None,
        release=settings.release,
        pool=settings.pool,
        kind=DeadLetterKind.NOT_A_MESSAGE,
        reason=reason,
        at=time.time(),
        message=nothing_known(payload),
    )


def whole(message: Received) -> Message:
    """The message as it was, but for what was true of one delivery only."""
    headers = message.headers if isinstance(message.headers, Mapping) else {}
    # kombu decompresses the body at receipt, if it can, and leaves the header.
    untrue = _OF_THE_DELIVERY if message.errors else (*_OF_THE_DELIVERY, "compression")
    return Message(
        headers={name: value for name, value in headers.items() if name not in untrue},
        properties=message.properties if isinstance(message.properties, Mapping) else {},
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        body=_bytes(message.body),
    )


def _bytes(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    # Half a surrogate pair is no text for UTF-8; in JSON it can be written all the same.
    return (body if isinstance(body, str) else safe_str(body or "")).encode(errors="surrogatepass")


def nothing_known(payload: bytes) -> Message:
    """A text as a message that has nothing else."""
    return Message(headers={}, properties={}, content_type=None, content_encoding=None, body=payload)


def shown(headers: Mapping[str, Any], payload: Callable[[], Any]) -> str | None:
    """Arguments for people: as the caller had them shown (Celery's ``argsrepr``, which may mask a secret).

    Else as the body has them, which ``payload`` decodes.
    """
    args, kwargs = headers.get("argsrepr"), headers.get("kwargsrepr")
    if isinstance(args, str) and isinstance(kwargs, str):
        return f"{args} {kwargs}"
    try:
        return _readable(payload())
    except Exception:  # noqa: BLE001 - a body that can't be read is why it is here; any decoder's error may come
        return None


def readable(message: Message) -> str | None:
    """`shown` of a message whose body is JSON."""
    return shown(message.headers, lambda: loads(message.body.decode()))


def _readable(payload: Any) -> str | None:
    """The arguments of a body as a person would write them; None if it has none."""
    if not isinstance(payload, list | tuple) or len(payload) != 3:
        return None
    args, kwargs, _ = payload
    if not isinstance(args, list | tuple) or not isinstance(kwargs, Mapping):
        return None
    return ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])


def _text(value: Any) -> str | None:
    return None if value is None else safe_str(value)
