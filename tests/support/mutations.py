"""Task messages with something wrong at any place of their structure, the same ones for the same seed.

Each begins as a message that a worker runs (either protocol, plain, compressed, with an ETA or callbacks)
and loses that in one to three steps: a value replaced by one of another type or size, a key gone, renamed or
nested, an encoding that does not fit, or bytes of the finished text changed.
"""

from __future__ import annotations

import base64
import json
import random
import uuid
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from taskfleet.contract import names
from taskfleet.contract.messages import DELIVERIES_HEADER, PUBLISHED_AT_HEADER, RELEASE_HEADER

from drills.malformed import TASK

_HUGE = 10**400
_TEXTS = ("", "x", "x" * 70_000, "\x00", "\ud800", "é" * 300, "../../etc", "%s %(id)s {0}", "None", "-1")
_NUMBERS = (0, -1, 1, 2**31, 2**63, _HUGE, -_HUGE, 0.5, float("nan"), float("inf"), -1e308)
_MOMENTS = ("2020-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "2020-13-45T00:00", "25:61", "now")
_OWN_TYPES = ("decimal", "datetime", "date", "time", "uuid", "bytes", "base64", "nothing")
_NAMES = ("celery.chord_unlock", "celery.backend_cleanup", "celery.map", "celery.group", "celery.chain", TASK)
_ENCODINGS = ("utf-8", "ascii", "base64", "binary", "utf-16", "zlib", "no-such", "rot13", "idna", "")
_CONTENT = ("application/json", "application/x-python-serialize", "application/data", "text/plain", "yaml")


def messages(seed: int, many: int, *, queue: str, release: str) -> Iterator[str]:
    """``many`` of them for one versioned queue. Not each is malformed: a step may change nothing."""
    for number in range(many):
        yield _message(random.Random(f"{seed}-{number}"), queue, release)


def _message(chance: random.Random, queue: str, release: str) -> str:
    content = _valid(chance, names.versioned_queue(queue, release), release)
    for _ in range(chance.randint(1, 3)):
        chance.choice(_STEPS)(chance, content)
    text = _written(json.dumps, content)
    return _bytes_changed(chance, text) if chance.random() < 0.1 else text


def _written(write: Callable[[Any], str], content: Any) -> str:
    """What is too deep for Python to write, a message from elsewhere can be all the same."""
    try:
        return write(content)
    except RecursionError:
        return "[" * 2000


def _valid(chance: random.Random, routing_key: str, release: str) -> dict[str, Any]:
    task_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    args, kwargs = ["mutated", chance.randint(0, 9)], {"later": None}
    options = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    header: dict[str, Any] = {
        "lang": "py",
        "task": TASK,
        "id": task_id,
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": task_id,
        "parent_id": None,
        "argsrepr": repr(args),
        "kwargsrepr": repr(kwargs),
        "origin": "gen1@host",
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
        RELEASE_HEADER: release,
        PUBLISHED_AT_HEADER: 1.0,
    }
    older = {"task": TASK, "id": task_id, "args": args, "kwargs": kwargs, "retries": 0, "eta": None}
    is_older = chance.random() < 0.2
    return {
        "body": json.dumps(older if is_older else [args, kwargs, options]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {} if is_older else header,
        "properties": {
            "correlation_id": task_id,
            "reply_to": None,
            "delivery_mode": 2,
            "delivery_tag": task_id,
            "delivery_info": {"exchange": "", "routing_key": routing_key},
            "priority": 0,
            "body_encoding": "utf-8",
        },
    }


# -- the steps ----------------------------------------------------------------------------------------


def _replace(chance: random.Random, content: dict[str, Any]) -> None:
    holder, key = _place(chance, content)
    holder[key] = _value(chance)


def _remove(chance: random.Random, content: dict[str, Any]) -> None:
    holder, key = _place(chance, content)
    holder.pop(key)


def _rename(chance: random.Random, content: dict[str, Any]) -> None:
    holder, key = _place(chance, content)
    holder[chance.choice(("", "self", "__type__", key.upper(), DELIVERIES_HEADER))] = holder.pop(key)


def _nest(chance: random.Random, content: dict[str, Any]) -> None:
    holder, key = _place(chance, content)
    for _ in range(chance.choice((1, 2, 40, 100, 240, 480, 900))):
        holder[key] = [holder[key]] if chance.random() < 0.5 else {key: holder[key]}


def _change_body(chance: random.Random, content: dict[str, Any]) -> None:
    """A step inside of the body, which is JSON in JSON."""
    try:
        body = json.loads(content["body"])
        inside = {str(number): each for number, each in enumerate(body)} if isinstance(body, list) else body
        chance.choice((_replace, _remove, _nest))(chance, inside)
        content["body"] = json.dumps(list(inside.values()) if isinstance(body, list) else inside)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError):
        _replace(chance, content)


def _encode(chance: random.Random, content: dict[str, Any]) -> None:
    body = _written(str, content.get("body")).encode(errors="replace")
    how = chance.choice(("base64", "zlib", "lies", "names", "bomb"))
    packed = zlib.compress(body if how != "bomb" else bytes(3_000_000))
    if how == "names":
        content["content-encoding"], content["content-type"] = (
            chance.choice(_ENCODINGS),
            chance.choice(_CONTENT),
        )
        return
    content["body"] = base64.b64encode(body if how == "base64" else packed).decode()
    properties, headers = content.get("properties"), content.get("headers")
    if isinstance(properties, dict):
        properties["body_encoding"] = "base64" if how != "lies" else chance.choice(_ENCODINGS)
    if isinstance(headers, dict) and how != "base64":
        headers["compression"] = chance.choice(("application/x-gzip", "zlib", "application/x-bz2", "no-such"))


_STEPS: tuple[Callable[[random.Random, dict[str, Any]], None], ...] = (
    *(_replace,) * 6,
    _remove,
    _rename,
    *(_nest,) * 2,
    *(_change_body,) * 2,
    _encode,
)


def _place(chance: random.Random, content: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """A mapping anywhere in the message, and one of its keys."""
    holder: dict[str, Any] = content
    while True:
        inner = [value for value in holder.values() if isinstance(value, dict) and value]
        if not inner or chance.random() < 0.25:
            break
        holder = chance.choice(inner)
    if not holder:
        holder["empty"] = None
    return holder, chance.choice(sorted(holder))


def _value(chance: random.Random) -> Any:
    kind = chance.randrange(9)
    if kind == 0:
        return chance.choice(_TEXTS)
    if kind == 1:
        return chance.choice(_NUMBERS)
    if kind == 2:
        return chance.choice(_MOMENTS)
    if kind == 3:
        return chance.choice((None, True, False, [], {}, [[]], [None], {"": None}))
    if kind == 4:
        return {"__type__": chance.choice(_OWN_TYPES), "__value__": chance.choice((*_TEXTS, 5, None))}
    if kind == 5:
        return [chance.choice((*_NUMBERS, None, "x", [])) for _ in range(chance.randint(1, 3))]
    if kind == 6:
        return {chance.choice(_NAMES): chance.choice(_NUMBERS), "task": chance.choice(_NAMES)}
    if kind == 7:
        return chance.choice(_NAMES)
    return [{"task": chance.choice(_NAMES), "args": chance.choice(([], 5, None)), "options": _deep(50)}]


def _deep(levels: int) -> Any:
    value: Any = None
    for _ in range(levels):
        value = {"deep": value}
    return value


def _bytes_changed(chance: random.Random, text: str) -> str:
    at = chance.randrange(len(text))
    return chance.choice(
        (
            text[:at],
            text[:at] + chance.choice(("\x00", "é", '"', "{", "]", "\\u", "1e999")) + text[at + 1 :],
            "\ufeff" + text,
            text + text,
            text[:at] + text[at : at + 40] * 3 + text[at:],
        )
    )
