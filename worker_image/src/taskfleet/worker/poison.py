"""What a worker must not run: seen before the task starts, so that no task meets arguments it can't have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kombu.exceptions import ContentDisallowed
from kombu.message import Message

from taskfleet.contract.limits import MESSAGE_BODY_MAX_BYTES, MOST_DELIVERIES
from taskfleet.contract.messages import DELIVERIES_HEADER, RELEASE_HEADER
from taskfleet.dead_letters.letter import Finding, Kind


def examine(message: Message, tasks: Mapping[str, Any], release: str) -> Finding | None:
    """Why a worker of ``release`` must not run this message, or None.

    None also for one without a task in its headers: Celery's older protocol has it in the body, and
    Celery says so if that has none either. No stamp is no other release's: plain producers write none.
    """
    headers = message.headers or {}
    stamp = headers.get(RELEASE_HEADER)
    if stamp is not None and stamp != release:
        return Finding(Kind.OTHER_RELEASE, f"stamped with release {stamp}, received by a worker of {release}")
    deliveries = headers.get(DELIVERIES_HEADER, 0)
    if isinstance(deliveries, int) and deliveries >= MOST_DELIVERIES:
        return Finding(
            Kind.TOO_MANY_DELIVERIES,
            f"given to {deliveries} workers before, and none came to its end: it seems to kill them",
        )
    size = len(message.body or b"")
    if size > MESSAGE_BODY_MAX_BYTES:
        return Finding(
            Kind.TOO_LARGE, f"its body has {size} bytes; {MESSAGE_BODY_MAX_BYTES} are allowed at most"
        )
    return _task(message, headers, tasks, release) if "task" in headers else None


def _task(
    message: Message, headers: Mapping[str, Any], tasks: Mapping[str, Any], release: str
) -> Finding | None:
    name, task_id = headers["task"], headers.get("id")
    if not isinstance(name, str) or not isinstance(task_id, str):
        return Finding(Kind.NO_TASK, f"its headers name no task and id: task {name!r}, id {task_id!r}")
    strange = _strange(headers)
    if strange:
        return Finding(Kind.INVALID, strange)
    if name not in tasks:
        return Finding(Kind.UNKNOWN_TASK, f"release {release} has no task named {name!r}")
    try:
        payload = message.payload  # Celery reads it next, and finds it read
    except ContentDisallowed as error:
        return Finding(Kind.UNREADABLE, f"its body is {message.content_type}, and only JSON is read: {error}")
    except Exception as error:  # noqa: BLE001 - whatever a decoder raises at bytes of somebody else's
        return Finding(Kind.UNREADABLE, f"its body can't be read: {type(error).__name__}: {error}")
    return _arguments(payload, tasks[name])


def _strange(headers: Mapping[str, Any]) -> str | None:
    """Headers that Celery would stumble over only when it starts the task, and its slot would be lost."""
    retries, limits = headers.get("retries") or 0, headers.get("timelimit")
    if not isinstance(retries, int):
        return f"its header `retries` is no number: {retries!r}"
    pair = not limits or (isinstance(limits, list | tuple) and len(limits) == 2)
    if not pair or not all(isinstance(each, int | float | None) for each in limits or ()):
        return f"its header `timelimit` is no pair of seconds: {limits!r}"
    return None


def _arguments(payload: Any, task: Any) -> Finding | None:
    if isinstance(payload, Mapping) and "args" in payload:  # the older protocol's body
        payload = (payload["args"], payload.get("kwargs") or {}, None)
    if not isinstance(payload, list | tuple) or len(payload) != 3:
        return Finding(Kind.BAD_ARGUMENTS, "its body is not a list of arguments, keywords and options")
    args, kwargs, options = payload
    if not isinstance(args, list | tuple) or not isinstance(kwargs, Mapping):
        return Finding(Kind.BAD_ARGUMENTS, "its arguments are no list, or its keywords no object")
    if not isinstance(options, Mapping | None):
        return Finding(Kind.BAD_ARGUMENTS, "its options (callbacks, chain, chord) are no object")
    signature = getattr(task, "__header__", None)
    if signature is None or not task.typing:
        return None  # a task made from a class, or one that does not want to be checked
    try:
        # What Celery does at a publish: a function of the task's signature, with nothing in it.
        signature(*args, **kwargs)
    except TypeError as error:
        return Finding(Kind.BAD_ARGUMENTS, f"the task does not take its arguments: {error}")
    return None
