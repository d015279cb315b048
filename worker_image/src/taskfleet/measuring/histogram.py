"""Histograms that can be added up: the same buckets everywhere, four for each doubling."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

# The upper bound of the first bucket (a millisecond, or a mebibyte of a gibibyte), and the last bucket, which
# has all that is more: from 37 hours on.
SMALLEST = 0.001
PER_DOUBLING = 4
LAST = 27 * PER_DOUBLING


def bucket(value: float) -> int:
    """The bucket that a value is in."""
    if value <= SMALLEST:
        return 0
    return min(LAST, math.ceil(PER_DOUBLING * math.log2(value / SMALLEST)))


def bound(number: float) -> float:
    """The largest value of a bucket, but for the last; between two numbers, of their geometric means."""
    return float(SMALLEST * 2 ** (number / PER_DOUBLING))


@dataclass(frozen=True)
class Histogram:
    """How many values each bucket has (those with none are left out), and their exact sum."""

    counts: Mapping[int, int] = field(default_factory=dict)
    sum: float = 0.0

    @property
    def count(self) -> int:
        """How many values."""
        return sum(self.counts.values())

    @property
    def mean(self) -> float | None:
        """None of no values."""
        return self.sum / self.count if self.count else None

    def percentile(self, q: float) -> float | None:
        """The value that a share ``q`` of all is not above (0.95: the 95th percentile); None of no values.

        Within the bucket as if its values were spread evenly: right to a tenth, to a fifth of few values.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"a share of all from 0 to 1 is asked for, 0.95 for instance, not {q!r}")
        rank, below = q * self.count, 0
        for number, many in sorted(self.counts.items()):
            if below + many >= rank:
                low = bound(number - 1) if number else 0.0
                return low + (bound(number) - low) * max(0.0, rank - below) / many
            below += many
        return None

    def merged(self, other: Histogram) -> Histogram:
        """Both together."""
        return Histogram(dict(Counter(self.counts) + Counter(other.counts)), self.sum + other.sum)
