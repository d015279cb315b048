"""From the text in Redis to what kombu makes a message of."""

from __future__ import annotations

import json
import time
from typing import Any

from kombu.utils.json import loads

from taskfleet.contract import messages


def read(text: bytes, *, tag: str, fetched_ms: int) -> dict[str, Any]:
    """The message as kombu's raw payload, with our tag and how often it was delivered before.

    ``fetched_ms`` is when that was, on Redis's clock: by what it says of its publishing it is dated on ours.
    The tag inside the message is its publisher's: a message that was sent twice by a retry has it twice.
    For anything else than a kombu message it raises whatever the text provokes: `RecursionError` if it is
    nested deeply, `decimal.InvalidOperation` if kombu's JSON makes a decimal of it.
    """
    payload = loads(text.decode())
    if not isinstance(payload, dict):
        raise TypeError(f"a {type(payload).__name__} instead of an object")
    returned = payload.pop(messages.DELIVERIES_HEADER, None)
    accepted_ms = payload.pop(messages.REDIS_ACCEPTED, None)
    properties = payload["properties"]
    properties["delivery_tag"] = tag
    information = properties.setdefault("delivery_info", {})
    if isinstance(information, dict):
        # What a message says itself of this is its publisher's.
        information.pop(messages.DELIVERY_PUBLISHED, None)
        if isinstance(accepted_ms, int):
            information[messages.DELIVERY_PUBLISHED] = time.monotonic() - (fetched_ms - accepted_ms) / 1000
    headers = payload["headers"] = payload.get("headers") or {}
    headers[messages.DELIVERIES_HEADER] = int(returned or 0)
    if returned is not None:
        headers["redelivered"] = information["redelivered"] = True
    return payload


def parked(text: bytes, *, reason: str) -> str:
    """What is kept of a text that is no message: the text, the reason and the time, as JSON."""
    return json.dumps(
        {"reason": reason, "at": time.time(), "payload": text.decode(errors="backslashreplace")}
    )
