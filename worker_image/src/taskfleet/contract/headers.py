"""The shape of a task message's headers: what Celery reads of them, and of which type each must be.

Celery looks at most of them only when the task is started or has ended, in the worker's main process: there
a wrong one ends the worker or costs it a slot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

# Deeper than anything that Celery or an instrumentation writes; Python's pickle and JSON end at some hundred.
MOST_NESTED = 50
# No time limit and no number of retries is greater, and timers take no greater one.
_MOST = 2**31

_TEXT = (str, type(None))
_CONTAINERS = (dict, list, tuple)
_SHAPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "shadow": (_TEXT, "text"),
    "group": (_TEXT, "text"),
    "root_id": (_TEXT, "text"),
    "parent_id": (_TEXT, "text"),
    "origin": (_TEXT, "text"),
    "argsrepr": (_TEXT, "text"),
    "kwargsrepr": (_TEXT, "text"),
    "eta": ((*_TEXT, datetime), "a time in ISO 8601"),
    "expires": ((*_TEXT, datetime), "a time in ISO 8601"),
    "ignore_result": ((int, type(None)), "true or false"),
    "group_index": ((int, type(None)), "a number"),
    "replaced_task_nesting": ((int, type(None)), "a number"),
    "stamped_headers": ((list, tuple, type(None)), "a list"),
    "stamps": ((dict, type(None)), "an object"),
}


_PROPERTIES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "correlation_id": (_TEXT, "text"),
    "reply_to": (_TEXT, "text"),
    "priority": ((int, type(None)), "a number"),
    "delivery_info": ((dict, type(None)), "an object"),
}
_DELIVERY_INFO: Mapping[str, tuple[tuple[type, ...], str]] = {
    "exchange": (_TEXT, "text"),
    "routing_key": (_TEXT, "text"),
}


def strange(headers: Mapping[str, Any], properties: Mapping[str, Any]) -> str | None:
    """What is wrong with them, or None."""
    wrong = (
        _of_another_type("header", headers, _SHAPES)
        or _of_another_type("property", properties, _PROPERTIES)
        or _of_another_type("delivery", properties.get("delivery_info") or {}, _DELIVERY_INFO)
    )
    if wrong:
        return wrong
    retries, limits = headers.get("retries") or 0, headers.get("timelimit")
    if not isinstance(retries, int) or not 0 <= retries < _MOST:
        return f"its header `retries` is no number of retries: {_short(retries)}"
    if not _are_limits(limits):
        return f"its header `timelimit` is no pair of seconds: {_short(limits)}"
    for what, mapping in (("headers", headers), ("properties", properties)):
        if _is_deeper(mapping, MOST_NESTED):
            return f"its {what} are nested more than {MOST_NESTED} deep"
    return None


def are_options(options: Any) -> bool:
    """Whether a body's third part is what Celery writes there, and reads when the task ends."""
    return isinstance(options, Mapping | None) and all(map(_are_signatures, (options or {}).items()))


def _are_signatures(option: tuple[str, Any]) -> bool:
    name, value = option
    if name == "chord":
        return isinstance(value, Mapping | None)
    if name not in ("callbacks", "errbacks", "chain") or value is None:
        return True
    return isinstance(value, list | tuple) and all(isinstance(each, Mapping) for each in value)


def _of_another_type(
    kind: str, fields: Mapping[str, Any], shapes: Mapping[str, tuple[tuple[type, ...], str]]
) -> str | None:
    for name, (types, what) in shapes.items():
        value = fields.get(name)
        if not isinstance(value, types):
            return f"its {kind} `{name}` is not {what}: {_short(value)}"
    return None


def _are_limits(limits: Any) -> bool:
    if not limits:
        return True
    return (
        isinstance(limits, list | tuple)
        and len(limits) == 2
        and all(each is None or _is_limit(each) for each in limits)
    )


def _is_limit(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value < _MOST and math.isfinite(value)


def _is_deeper(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, _CONTAINERS)
        ]
        if not level:
            return False
    return True


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a number of too many digits, a depth that repr does not reach
        return f"a {type(value).__name__} that can't be shown ({type(error).__name__})"
    return text if len(text) <= 200 else text[:200] + "…"
