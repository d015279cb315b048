"""Letters as DynamoDB items and back. An item holds 400 KB at most, so a large message has several."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from taskfleet.contract import dead_letters as keys
from taskfleet.dead_letters.dead_letter import DeadLetter, DeadLetterKind, Heading, Message
from taskfleet.errors import DeadLetterError
from taskfleet.releases.items import Item, plain, wire

# With the texts below and the keys it stays under `limits.DYNAMODB_MAX_ITEM_BYTES`.
PIECE_BYTES = 350_000
# Texts are for people; what they lose here the message still has. Bytes.
_MOST = {"reason": 1_000, "exception": 4_000, "traceback": 20_000, "args": 8_000, "task": 500, "task_id": 200}
_CUT = " … "
_HEADING = tuple(field.name for field in fields(Heading))
_TEXTS = ("exception", "traceback", "args")


def from_letter(letter: DeadLetter) -> Iterator[Item]:
    """Its items; the letter itself is the last, so that one that can be seen is whole."""
    blob = _blob(letter.message)
    pieces = [blob[start : start + PIECE_BYTES] for start in range(0, len(blob), PIECE_BYTES)]
    more = pieces if len(pieces) > 1 else []
    expires = int(letter.at) + keys.KEEP_SECONDS
    for number, piece in enumerate(more, start=1):
        yield wire({keys.ID: letter.id, keys.PART: number, "message": piece, keys.EXPIRES: expires})
    yield wire(
        {
            **{name: _clipped(name, getattr(letter, name)) for name in (*_HEADING, *_TEXTS)},
            keys.PART: keys.LETTER,
            keys.PARKED: keys.position(letter.at, letter.id),
            keys.EXPIRES: expires,
            "pieces": len(more),
            "message": None if more else blob,
        }
    )


def withdrawn(letter_id: str, *, at: float) -> Item:
    """What takes a letter's place: in no queue's list, and deleted by DynamoDB in a while."""
    return wire({keys.ID: letter_id, keys.PART: keys.LETTER, keys.EXPIRES: int(at), "pieces": 0})


def is_withdrawn(item: Item) -> bool:
    """Of an item of part 0 as DynamoDB returns it."""
    return keys.PARKED not in item


def to_heading(item: Item) -> Heading:
    """From an item of the index, or from part 0."""
    return Heading(**_heading(plain(item)))


def to_letter(items: Iterable[Item]) -> DeadLetter:
    """From all of its items, part 0 first. Raises `DeadLetterError` if a piece is missing."""
    head, *pieces = map(plain, items)
    if len(pieces) < int(head["pieces"]):
        raise DeadLetterError(
            f"letter {head[keys.ID]} is not whole: {len(pieces)} of {head['pieces']} pieces are there. It is "
            "being deleted, or has expired"
        )
    blob = b"".join(bytes(each["message"].value) for each in (pieces or [head]))
    texts: Item = {name: head.get(name) for name in _TEXTS}
    return DeadLetter(**_heading(head), **texts, message=_message(blob))


def _heading(item: Item) -> dict[str, Any]:
    known = {name: item.get(name) for name in _HEADING}
    return {**known, "kind": DeadLetterKind(item["kind"]), "at": float(item["at"])}


def _clipped(name: str, value: Any) -> Any:
    """The beginning and the end of a text that is too long: both ends of a traceback say something."""
    most = _MOST.get(name)
    if most is None or not isinstance(value, str):
        return value
    data = value.encode(errors="backslashreplace")
    if len(data) <= most:
        return data.decode()
    half = (most - len(_CUT.encode())) // 2
    return data[:half].decode(errors="ignore") + _CUT + data[-half:].decode(errors="ignore")


def _blob(message: Message) -> bytes:
    content: dict[str, Any] = {
        "headers": dict(message.headers),
        "properties": dict(message.properties),
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
        "body_base64": base64.b64encode(message.body).decode(),
    }
    try:
        return json.dumps(content, default=repr).encode()
    except (ValueError, TypeError, RecursionError):
        # Nested deeper than Python's encoder goes, say: what can be kept of it is the body and the keys.
        shown = {name: sorted(map(str, content[name])) for name in ("headers", "properties")}
        return json.dumps(content | {"headers": {"lost": shown["headers"]}, "properties": {}}).encode()


def _message(blob: bytes) -> Message:
    content = json.loads(blob)
    return Message(body=base64.b64decode(content.pop("body_base64")), **content)
