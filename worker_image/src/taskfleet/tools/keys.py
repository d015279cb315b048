"""Which of a task's arguments tell its keys apart."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable
from typing import Any

_LONGEST = 200


class KeyOf:
    """The key of a call of ``function``: the values of the arguments named ``by``; all share one without.

    Raises ``TypeError`` at once if the function has no such parameter.
    """

    def __init__(self, function: Callable[..., Any], by: Iterable[str]) -> None:
        self._signature, self._by = inspect.signature(function), tuple(by)
        unknown = [name for name in self._by if name not in self._signature.parameters]
        if unknown:
            known = ", ".join(self._signature.parameters) or "none"
            raise TypeError(
                f"by={self._by}: {function.__qualname__} has no {unknown[0]!r}; its parameters: {known}"
            )

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Text; a long one is its digest."""
        if not self._by:
            return ""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return text([bound.arguments[name] for name in self._by])


def text(values: list[Any]) -> str:
    """The key of these values: their JSON; of a long one, its digest."""
    written = json.dumps(values, sort_keys=True, default=str)
    return written if len(written) <= _LONGEST else hashlib.sha256(written.encode()).hexdigest()
