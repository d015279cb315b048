"""From a task's arguments to kombu's message, without a connection; and what nobody would take of it."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from celery.utils.time import maybe_iso8601
from kombu.compression import compress
from kombu.messaging import Producer
from kombu.serialization import dumps as serialized
from kombu.transport.redis import Channel as RedisChannel
from kombu.utils.json import dumps

from taskfleet.contract.headers import are_options, strange
from taskfleet.contract.limits import MESSAGE_BODY_MAX_BYTES, MESSAGE_HEADERS_MAX_BYTES
from taskfleet.errors import InvalidTask, MessageTooLarge

_WAY_OUT = (
    "Nothing was published. Keep the data where both sides reach it (S3, see taskfleet.tools.store, or the "
    "database), and pass its key"
)


class _Channel(RedisChannel):  # type: ignore[misc]
    """What kombu asks a channel when it makes a message. It has no connection."""

    def __init__(self, body_encoding: str) -> None:
        self.body_encoding = body_encoding

    def basic_publish(self, message: dict[str, Any], **_where: Any) -> dict[str, Any]:
        return message


_REDIS, _SQS = _Channel("base64"), _Channel("utf-8")


class _SizedProducer(Producer):
    """As kombu's; the size that counts is that of the arguments before any compression."""

    def _prepare(
        self,
        body: Any,
        serializer: Any = None,
        content_type: Any = None,
        content_encoding: Any = None,
        compression: Any = None,
        headers: Any = None,
    ) -> tuple[Any, Any, Any]:
        made, content_type, content_encoding = super()._prepare(  # type: ignore[no-untyped-call]
            body, serializer, content_type, content_encoding, None, headers
        )
        _check_json(made, content_type, headers or {})
        _check_compression(compression, headers or {})
        _check_body(made, body, headers or {})
        if compression:
            made, headers["compression"] = compress(made, compression)
        return made, content_type, content_encoding


_producer: Any = _SizedProducer(_REDIS, auto_declare=False)  # type: ignore[no-untyped-call]


def message(body: Any, queue: str, options: dict[str, Any]) -> dict[str, Any]:
    """The message that kombu's ``Producer.publish`` makes of this, before it is encoded for a broker.

    Raises `MessageTooLarge`, and `InvalidTask` for what every worker would refuse.
    """
    made: dict[str, Any] = _producer.publish(
        body, exchange="", routing_key=queue, retry=False, declare=[], **options
    )
    _check_readable(made, body)
    return made


class ForRedis(NamedTuple):
    """``priority`` is the step of it, ``text`` the message as kombu's Redis transport writes it.

    ``tag`` is new for each publish.
    """

    priority: int
    text: str
    tag: str


def for_redis(made: dict[str, Any], queue: str) -> ForRedis:
    """The same for Redis. Raises `MessageTooLarge` for its headers."""
    encoded = _encoded(_REDIS, made, queue)
    text = dumps(encoded)
    if len(text) - len(encoded["body"]) > MESSAGE_HEADERS_MAX_BYTES:  # the encodings' names are in it, too
        _check_headers(made)
    priority = _REDIS.priority(_REDIS._get_message_priority(encoded))
    return ForRedis(priority, text, encoded["properties"]["delivery_tag"])


def for_sqs(made: dict[str, Any], queue: str) -> dict[str, Any]:
    """As kombu's SQS transport writes it. The body as it is: JSON in JSON grows by its quotes only."""
    return _encoded(_SQS, made, queue)


def _encoded(channel: Any, made: dict[str, Any], queue: str) -> dict[str, Any]:
    properties = {**made["properties"], "delivery_info": {**made["properties"]["delivery_info"]}}
    encoded = {**made, "properties": properties}
    channel._inplace_augment_message(encoded, "", queue)
    return encoded


def _check_json(body: Any, content_type: Any, headers: dict[str, Any]) -> None:
    if content_type != "application/json" or not isinstance(body, str | bytes):
        raise InvalidTask(
            f"{_name(headers)} is {content_type}, and workers read JSON only: leave `serializer` and "
            "`content_type` out, or set the serializer to 'json'. Nothing was published"
        )


def _check_compression(compression: Any, headers: dict[str, Any]) -> None:
    if headers.get("compression") and not compression:
        raise InvalidTask(
            f"the header `compression` of {_name(headers)} says how its body is compressed, and it is not: "
            "no worker could read it. Give `compression=`, or the header another name. Nothing was published"
        )


def _check_body(made: str | bytes, body: Any, headers: dict[str, Any]) -> None:
    size = _bytes(made)
    if size > MESSAGE_BODY_MAX_BYTES:
        raise MessageTooLarge(
            f"the arguments of {_name(headers)} have {size} bytes as a message{largest(body)}; "
            f"{MESSAGE_BODY_MAX_BYTES} are allowed at most. {_WAY_OUT}"
        )


def text(made: dict[str, Any], body: Any) -> str:
    """The arguments of a message that `message` made of ``body``, as JSON."""
    written = made["body"]
    if made["headers"].get("compression"):
        written = body if isinstance(body, str | bytes) else serialized(body, serializer="json")[2]
    return written.decode() if isinstance(written, bytes) else str(written)


def size(made: dict[str, Any]) -> int:
    """Bytes of the arguments of a message that `message` made; fewer if it is compressed."""
    return _bytes(made["body"])


def largest(body: Any) -> str:
    """Which of a task's arguments is the largest, as the end of a sentence's part; "" for another body."""
    if not (isinstance(body, list | tuple) and len(body) >= 2 and isinstance(body[1], dict)):
        return ""
    named = [(f"argument {place}", value) for place, value in enumerate(body[0] or (), start=1)]
    named += [(f"argument {name!r}", value) for name, value in body[1].items()]
    if not named:
        return ""
    most, name, kind = max((_bytes(dumps(value)), name, type(value).__name__) for name, value in named)
    return f" (the largest is {name}, a {kind} of {most} bytes)"


def _bytes(text: str | bytes) -> int:
    return len(text) if isinstance(text, bytes) or text.isascii() else len(text.encode())


def _check_readable(made: dict[str, Any], body: Any) -> None:
    headers = made["headers"]
    for header, option in (("id", "task_id"), ("task", "name")):
        # A message of Celery's first protocol has neither.
        if "task" in headers and not (isinstance(headers.get(header), str) and headers[header]):
            raise InvalidTask(
                f"the {option} of {_name(headers)} must be a text that is not empty, not "
                f"{headers.get(header)!r}: no worker would run it. Nothing was published"
            )
    wrong = strange(headers, made["properties"]) or _no_time(headers) or _no_signatures(body)
    if wrong:
        raise InvalidTask(f"no worker would run {_name(headers)}: {wrong}. Nothing was published")


def _no_time(headers: dict[str, Any]) -> str | None:
    for name in ("eta", "expires"):
        value = headers.get(name)
        if isinstance(value, str) and not _is_time(value):
            return f"its `{name}` is no time in ISO 8601: {value!r}"
    return None


def _is_time(text: str) -> bool:
    with suppress(ValueError):
        datetime.fromisoformat(text)  # a hundred times faster than Celery's own, which reads more
        return True
    with suppress(ValueError):
        return maybe_iso8601(text) is not None
    return False


def _no_signatures(body: Any) -> str | None:
    # A body of Celery's older protocol has them elsewhere.
    if isinstance(body, list | tuple) and len(body) == 3 and not are_options(body[2]):
        return "its callbacks (`link`, `link_error`), chain or chord are no signatures, such as `task.s()`"
    return None


def _check_headers(made: dict[str, Any]) -> None:
    headers = made["headers"]
    size = len(dumps(headers)) + len(dumps(made["properties"]))
    if size > MESSAGE_HEADERS_MAX_BYTES:
        raise MessageTooLarge(
            f"the headers of {_name(headers)} (stamps, a group, what the caller added) have {size} bytes; "
            f"{MESSAGE_HEADERS_MAX_BYTES} are allowed at most. {_WAY_OUT}"
        )


def _name(headers: dict[str, Any]) -> str:
    return f"{headers.get('task')} ({headers.get('id')})"
