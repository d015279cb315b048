"""What this worker's tasks experienced, counted in its main process: for `/metrics` and since the last look.

Here, not where tasks run: the main process hears of every task's end, also of a child that was killed, and
children may be replaced ten thousand times without a trace.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

from taskfleet.contract import figures
from taskfleet.measuring.histogram import bucket
from taskfleet.measuring.tasks import Key

Counts = dict[Key, Counter[str]]


class Tally:
    """Counts by queue and task name, for any thread. No larger with time, nor with what names there are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fresh: Counts = {}
        self._taken: Counts = {}

    def add(self, queue: str, task: str, what: Iterable[tuple[str, int]]) -> None:
        """Add to the counts of a task."""
        with self._lock:
            counts = self._fresh.get((queue, task))
            if counts is None:
                counts = self._of((queue, task))
            _add(counts, what)

    def take(self) -> Counts:
        """What was counted since the last call."""
        with self._lock:
            fresh, self._fresh = self._fresh, {}
            for key, counts in fresh.items():
                _add(self._taken.setdefault(key, Counter()), counts.items())
            return fresh

    def totals(self) -> Counts:
        """What was counted since the worker began."""
        with self._lock:
            totals = {key: Counter(counts) for key, counts in self._taken.items()}
            for key, counts in self._fresh.items():
                _add(totals.setdefault(key, Counter()), counts.items())
            return totals

    def _of(self, key: Key) -> Counter[str]:
        known = key in self._taken or len(self._fresh.keys() | self._taken.keys()) < figures.MOST_NAMES
        return self._fresh.setdefault(key if known else (key[0], figures.OTHER), Counter())


def _add(counts: Counter[str], what: Iterable[tuple[str, int]]) -> None:
    for figure, count in what:
        known = figure in counts or not figure.startswith(figures.EXCEPTION)
        counts[figure if known else _capped(counts, figure)] += count


def _capped(counts: Counter[str], figure: str) -> str:
    types = sum(each.startswith(figures.EXCEPTION) for each in counts)
    return figure if types < figures.MOST_EXCEPTIONS else f"{figures.EXCEPTION}:{figures.OTHER}"


def measured(kind: str, value: float) -> tuple[tuple[str, int], tuple[str, int]]:
    """What one value adds to its histogram; ``kind`` with all that comes before the bucket."""
    return (f"{kind}:{bucket(value)}", 1), (f"{kind}:{figures.SUM}", round(value * figures.PARTS))
