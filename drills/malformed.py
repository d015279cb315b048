"""Ten kinds of message that no worker may run, as text for either broker."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from taskfleet.contract import names
from taskfleet.contract.limits import MESSAGE_BODY_MAX_BYTES
from taskfleet.contract.messages import RELEASE_HEADER
from taskfleet.dead_letters.dead_letter import DeadLetterKind

TASK = "drills.record"
# The two transports know the same thing of a text that is no message, and say it differently.
_NO_MESSAGE = frozenset({DeadLetterKind.NOT_A_MESSAGE, DeadLetterKind.NO_TASK, DeadLetterKind.UNREADABLE})


@dataclass(frozen=True)
class Malformed:
    """One kind: ``text`` of a queue and a release; what a worker may say of it."""

    name: str
    text: Callable[[str, str], str]
    kinds: frozenset[DeadLetterKind]


def message(queue: str, release: str, *, body: Any = None, headers: Any = None, **properties: Any) -> str:
    """A message that a worker would run, but for what is given here instead."""
    task_id = str(uuid.uuid4())
    content = {
        "body": json.dumps([["malformed", 0], {}, None]) if body is None else body,
        "content-encoding": "utf-8",
        "content-type": properties.pop("content_type", "application/json"),
        "headers": {"lang": "py", "task": TASK, "id": task_id, "retries": 0, **(headers or {})},
        "properties": {
            "correlation_id": task_id,
            "delivery_mode": 2,
            "delivery_tag": str(uuid.uuid4()),
            "delivery_info": {"exchange": "", "routing_key": names.versioned_queue(queue, release)},
            "priority": 0,
            "body_encoding": "utf-8",
            **properties,
        },
    }
    content["headers"] = {k: v for k, v in content["headers"].items() if v is not None}
    return json.dumps(content)


def _without_properties(queue: str, release: str) -> str:
    content = json.loads(message(queue, release))
    del content["properties"], content["headers"]
    return json.dumps(content)


def _body(args: Any, kwargs: Any) -> str:
    return json.dumps([args, kwargs, {}])


MALFORMED = (
    Malformed("no JSON", lambda q, r: "{" + uuid.uuid4().hex, _NO_MESSAGE),
    Malformed("no object", lambda q, r: json.dumps([1, 2, 3]), _NO_MESSAGE),
    Malformed("no properties", _without_properties, _NO_MESSAGE),
    Malformed(
        "no task", lambda q, r: message(q, r, headers={"task": None}), frozenset({DeadLetterKind.NO_TASK})
    ),
    Malformed(
        "unknown task",
        lambda q, r: message(q, r, headers={"task": "no.such.task"}),
        frozenset({DeadLetterKind.UNKNOWN_TASK}),
    ),
    Malformed(
        "another release's stamp",
        lambda q, r: message(q, r, headers={RELEASE_HEADER: "another"}),
        frozenset({DeadLetterKind.OTHER_RELEASE}),
    ),
    Malformed(
        "impossible arguments",
        lambda q, r: message(q, r, body=_body([], {"sideways": True})),
        frozenset({DeadLetterKind.BAD_ARGUMENTS}),
    ),
    Malformed(
        "a body that is no JSON",
        lambda q, r: message(q, r, body="[[1, 2"),
        frozenset({DeadLetterKind.UNREADABLE}),
    ),
    Malformed(
        "a pickle",
        lambda q, r: message(q, r, body="cos\nsystem\n.", content_type="application/x-python-serialize"),
        frozenset({DeadLetterKind.UNREADABLE}),
    ),
    Malformed(
        "too large",
        lambda q, r: message(q, r, body=_body(["x" * MESSAGE_BODY_MAX_BYTES, 1], {})),
        frozenset({DeadLetterKind.TOO_LARGE}),
    ),
)


def matched(said: Mapping[DeadLetterKind, int], each: int) -> dict[str, int]:
    """How many of the ``each`` messages of every kind the workers' words account for, by `Malformed.name`."""
    left, found = dict(said), {}
    # The narrow ones first: what may be called different things takes what they leave.
    for malformed in sorted(MALFORMED, key=lambda one: len(one.kinds)):
        found[malformed.name] = 0
        for kind in sorted(malformed.kinds):
            taken = min(left.get(kind, 0), each - found[malformed.name])
            left[kind] = left.get(kind, 0) - taken
            found[malformed.name] += taken
    return found
