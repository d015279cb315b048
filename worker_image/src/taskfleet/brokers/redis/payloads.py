"""From the text in Redis to what kombu makes a message of."""

from __future__ import annotations

import json
import time
from typing import Any

from kombu.utils.json import loads

from taskfleet.contract import messages


def read(text: bytes, *, tag: str) -> dict[str, Any]:
    """The message as kombu's raw payload, with our tag and how often it was delivered before.

    The tag inside the message is its publisher's: a message that was sent twice by a retry has it twice.
    For anything else than a kombu message it raises whatever the text provokes: `RecursionError` if it is
    nested deeply, `decimal.InvalidOperation` if kombu's JSON makes a decimal of it.
    """
    payload = loads(text.decode())
    if not isinstance(payload, dict):
        raise TypeError(f"a {type(payload).__name__} instead of an object")
    returned = payload.pop(messages.DELIVERIES_HEADER, None)
    properties = payload["properties"]
    properties["delivery_tag"] = tag
    information = properties.setdefault("delivery_info", {})
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
