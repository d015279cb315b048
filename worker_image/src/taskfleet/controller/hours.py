"""The last hour of a release's figures, minute by minute: read once each, added, taken away an hour later.

A minute does not change once it is over, so a look reads one and not sixty, whatever number of names it has.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from taskfleet.measuring.tasks import Key

HOUR_MINUTES = 60
Texts = Mapping[Key, str]


@dataclass
class LastHour:
    """``sums`` of all its minutes. They are kept as the texts that Redis has: objects take ten times that."""

    sums: dict[Key, Counter[str]] = field(default_factory=dict)
    _minutes: deque[tuple[int, Texts]] = field(default_factory=deque)

    def missing(self, over: int) -> range:
        """Which minutes are not in it yet, where ``over`` is the last that is over."""
        first = over - HOUR_MINUTES + 1
        return range(max(first, self._minutes[-1][0] + 1 if self._minutes else first), over + 1)

    def add(self, minutes: Iterable[tuple[int, Texts]]) -> None:
        """Minutes, in their order."""
        for minute, texts in minutes:
            self._minutes.append((minute, texts))
            for key, text in texts.items():
                self.sums.setdefault(key, Counter()).update(json.loads(text))
            while self._minutes[0][0] <= minute - HOUR_MINUTES:
                self._forget(self._minutes.popleft()[1])

    def since(self, minute: int) -> dict[Key, Counter[str]]:
        """The sums of ``minute`` and those after it."""
        found: dict[Key, Counter[str]] = {}
        for number, texts in reversed(self._minutes):
            if number < minute:
                break
            for key, text in texts.items():
                found.setdefault(key, Counter()).update(json.loads(text))
        return found

    def _forget(self, texts: Texts) -> None:
        for key, text in texts.items():
            self.sums[key] -= Counter(json.loads(text))  # which drops what is at 0
            if not self.sums[key]:
                del self.sums[key]
