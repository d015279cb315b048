"""One line of valid JSON from whatever a log record holds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from kombu.utils.encoding import safe_repr

# Beyond this a value is text; json would end in a RecursionError at some hundred.
MOST_LEVELS = 20
# An event of CloudWatch Logs holds 1 MB (its quotas); a longer line would be cut in its middle, and no JSON.
MOST_CHARACTERS = 200_000
MOST_TEXT = 1000


def dumps(line: Mapping[str, Any]) -> str:
    """``line`` as JSON without line breaks; what JSON has no word for is written as text."""
    text = _encoded(line)
    if len(text) > MOST_CHARACTERS:
        share = MOST_CHARACTERS // max(1, len(line)) // 6  # a character may take six, escaped
        text = _encoded({key: _shortened(value, share) for key, value in line.items()})
    return text


def _encoded(line: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(line, ensure_ascii=False, allow_nan=False, default=safe_repr)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps(_plain(line, MOST_LEVELS), ensure_ascii=False)
    # A lone surrogate can't be written as UTF-8. Escaped so, it is what JSON calls it.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: Any, levels: int) -> Any:
    """``value`` of nothing but JSON's own types."""
    if value is None or type(value) in (str, bool):
        return value
    if type(value) is int and abs(value) < 2**63:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if levels and isinstance(value, dict):
        return {_key(key): _plain(each, levels - 1) for key, each in value.items()}
    if levels and type(value) in (list, tuple):
        return [_plain(each, levels - 1) for each in value]
    return _text(value)


def _key(key: Any) -> str:
    return key if type(key) is str else _text(key)


def _text(value: Any) -> str:
    try:
        return str(safe_repr(value))[:MOST_TEXT]
    except Exception as error:  # noqa: BLE001 - of a huge integer, of a structure that is too deep
        return f"<{type(value).__name__} that can't be shown: {type(error).__name__}>"


def _shortened(value: Any, most: int) -> Any:
    text = value if isinstance(value, str) else _encoded({"": value})
    return value if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"
