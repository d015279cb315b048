"""A kombu producer that refuses a message over the size limit, where the caller can still be told."""

from __future__ import annotations

from typing import Any

from kombu.compression import compress
from kombu.messaging import Producer

from taskfleet.contract.limits import MESSAGE_BODY_MAX_BYTES
from taskfleet.errors import MessageTooLarge


class SizedProducer(Producer):
    """As kombu's; the size is that of the serialised arguments, before any compression."""

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
        check_size(made, headers or {})
        if compression:
            made, headers["compression"] = compress(made, compression)
        return made, content_type, content_encoding


def check_size(body: str | bytes, headers: dict[str, Any]) -> None:
    """Raise `taskfleet.errors.MessageTooLarge` for a body over `limits.MESSAGE_BODY_MAX_BYTES`."""
    size = len(body) if isinstance(body, bytes) or body.isascii() else len(body.encode())
    if size > MESSAGE_BODY_MAX_BYTES:
        raise MessageTooLarge(
            f"the arguments of {headers.get('task')} ({headers.get('id')}) have {size} bytes as a message; "
            f"{MESSAGE_BODY_MAX_BYTES} are allowed at most. Nothing was published. Keep the data where both "
            "sides reach it (S3, the database), and pass its key"
        )
