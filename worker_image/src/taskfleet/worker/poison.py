"""What a worker must not run: seen before the task starts, so that no task meets arguments it can't have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kombu.exceptions import ContentDisallowed
from kombu.message import Message
from kombu.utils.encoding import safe_str

from taskfleet.contract.headers import are_options, strange
from taskfleet.contract.limits import MESSAGE_BODY_MAX_BYTES, MOST_DELIVERIES
from taskfleet.contract.messages import DELIVERIES_HEADER, RELEASE_HEADER
from taskfleet.dead_letters.dead_letter import DeadLetterKind, Finding
from taskfleet.worker.alone import SUSPECT_DELIVERIES, counts_receipts


def examine(message: Message, tasks: Mapping[str, Any], release: str) -> Finding | None:
    """Why a worker of ``release`` must not run this message, or None. Raises nothing, whatever the message.

    No stamp is no other release's: plain producers write none.
    """
    try:
        return _examine(message, tasks, release)
    except Exception as error:  # noqa: BLE001 - whatever somebody else's bytes provoke
        return Finding(
            DeadLetterKind.INVALID, f"it can't be looked at: {type(error).__name__}: {safe_str(error)}"
        )


def _examine(message: Message, tasks: Mapping[str, Any], release: str) -> Finding | None:
    headers, properties, body = message.headers, message.properties, message.body or b""
    if not isinstance(headers, Mapping) or not isinstance(properties, Mapping):
        return Finding(DeadLetterKind.INVALID, "its headers or its properties are no object")
    if not isinstance(body, bytes | str):
        return Finding(DeadLetterKind.UNREADABLE, f"its body is no text: {type(body).__name__}")
    stamp = headers.get(RELEASE_HEADER)
    if stamp is not None and stamp != release:
        return Finding(
            DeadLetterKind.OTHER_RELEASE, f"stamped with release {stamp}, received by a worker of {release}"
        )
    deliveries = headers.get(DELIVERIES_HEADER, 0)
    # One of SQS is judged when it would begin (`taskfleet.worker.alone`).
    if isinstance(deliveries, int) and deliveries >= MOST_DELIVERIES and not counts_receipts(message):
        return Finding(
            DeadLetterKind.TOO_MANY_DELIVERIES,
            f"delivered {deliveries} times before and never acknowledged: its worker ended, lost its lease "
            f"or gave it back; from {SUSPECT_DELIVERIES} times on it ran with nothing beside it",
        )
    size = len(body)
    if size > MESSAGE_BODY_MAX_BYTES:
        return Finding(
            DeadLetterKind.TOO_LARGE,
            f"its body has {size} bytes; {MESSAGE_BODY_MAX_BYTES} are allowed at most",
        )
    return _task(message, tasks, release)


def _task(message: Message, tasks: Mapping[str, Any], release: str) -> Finding | None:
    headers, payload = message.headers, None
    if "task" not in headers:  # Celery's older protocol has everything in the body
        payload, unreadable = _payload(message)
        if unreadable:
            return unreadable
        if not isinstance(payload, Mapping) or "task" not in payload:
            return Finding(DeadLetterKind.NO_TASK, "it is not a Celery task message")
    fields = headers if payload is None else payload
    name, task_id = fields["task"], fields.get("id")
    if not isinstance(name, str) or not isinstance(task_id, str) or not task_id:
        return Finding(
            DeadLetterKind.NO_TASK, f"its headers name no task and id: task {name!r}, id {task_id!r}"
        )
    wrong = strange(headers, message.properties) or (payload and strange(payload, {}))
    if wrong:
        return Finding(DeadLetterKind.INVALID, wrong)
    if name not in tasks:
        return Finding(DeadLetterKind.UNKNOWN_TASK, f"release {release} has no task named {name!r}")
    payload, unreadable = _payload(message)
    return unreadable or _arguments(payload, tasks[name])


def _payload(message: Message) -> tuple[Any, Finding | None]:
    try:
        return message.payload, None  # Celery reads it next, and finds it read
    except ContentDisallowed as error:
        return None, Finding(
            DeadLetterKind.UNREADABLE, f"its body is {message.content_type}, and only JSON is read: {error}"
        )
    except Exception as error:  # noqa: BLE001 - whatever a decoder raises at bytes of somebody else's
        return None, Finding(
            DeadLetterKind.UNREADABLE, f"its body can't be read: {type(error).__name__}: {error}"
        )


def _arguments(payload: Any, task: Any) -> Finding | None:
    if isinstance(payload, Mapping) and "args" in payload:  # the older protocol's body
        payload = (payload["args"], payload.get("kwargs") or {}, None)
    if not isinstance(payload, list | tuple) or len(payload) != 3:
        return Finding(
            DeadLetterKind.BAD_ARGUMENTS, "its body is not a list of arguments, keywords and options"
        )
    args, kwargs, options = payload
    if not isinstance(args, list | tuple) or not isinstance(kwargs, Mapping):
        return Finding(DeadLetterKind.BAD_ARGUMENTS, "its arguments are no list, or its keywords no object")
    if not are_options(options):
        return Finding(
            DeadLetterKind.BAD_ARGUMENTS, "its options (callbacks, chain, chord) are not what Celery writes"
        )
    signature = getattr(task, "__header__", None)
    if signature is None or not task.typing:
        return None  # a task made from a class, or one that does not want to be checked
    try:
        # What Celery does at a publish: a function of the task's signature, with nothing in it.
        signature(*args, **kwargs)
    except TypeError as error:
        return Finding(DeadLetterKind.BAD_ARGUMENTS, f"the task does not take its arguments: {error}")
    return None
