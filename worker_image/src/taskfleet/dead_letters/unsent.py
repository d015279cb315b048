"""Letters of what a worker should have published, and no broker took."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from kombu.exceptions import EncodeError
from kombu.serialization import dumps
from kombu.utils.encoding import safe_repr

from taskfleet.dead_letters.dead_letter import DeadLetter, DeadLetterKind, Message
from taskfleet.settings import WorkerSettings

_PROPERTIES = ("correlation_id", "reply_to", "priority")


@dataclass(frozen=True)
class Unsent:
    """A message as Celery gave it to the producer: ``options`` are those of kombu's ``Producer.publish``."""

    body: Any
    queue: str
    options: dict[str, Any]


def letter(settings: WorkerSettings, unsent: Unsent, queue: str, reason: str) -> DeadLetter:
    """The letter, of the logical ``queue``; of a body that is not JSON it has the text only."""
    headers = unsent.options.get("headers") or {}
    return DeadLetter(
        queue=queue,
        task=str(headers.get("task")),
        task_id=str(headers.get("id")),
        release=settings.release,
        pool=settings.pool,
        kind=DeadLetterKind.UNPUBLISHED,
        reason=reason,
        at=time.time(),
        args=f"{headers.get('argsrepr')} {headers.get('kwargsrepr')}",
        message=_message(unsent, headers),
    )


def _message(unsent: Unsent, headers: dict[str, Any]) -> Message:
    try:
        content_type, encoding, body = dumps(unsent.body, serializer="json")
    except EncodeError:
        content_type, encoding, body = "text/plain", "utf-8", safe_repr(unsent.body)
    said = {name: unsent.options.get(name) for name in _PROPERTIES}
    return Message(
        headers=headers,
        properties={name: value for name, value in said.items() if value is not None},
        content_type=content_type,
        content_encoding=encoding,
        body=body if isinstance(body, bytes) else body.encode(),
    )
