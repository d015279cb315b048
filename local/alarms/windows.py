"""Which periods an alarm looks at, and data points for them from finer ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from local.alarms.definition import Alarm

# CloudWatch retrieves more data points than it evaluates, in case some are missing: 5 for an alarm of
# 3 in its documented tables. For other lengths it gives no figure; two more is what the tables show.
EXTRA_PERIODS = 2


@dataclass(frozen=True)
class Part:
    """A statistic set of one granule; what CloudWatch can add up over a longer period."""

    count: float
    total: float
    lowest: float
    highest: float


def granule(period: int) -> int:
    """How often an alarm of this period is evaluated, in seconds: every period, at least every minute."""
    return min(period, 60)


def evaluation_range(alarm: Alarm, now: float) -> tuple[int, ...]:
    """The starts of the complete periods that count at ``now``, oldest first, in seconds since the epoch.

    The window slides: it ends at the last full granule, also when the period is longer than that.
    """
    step = granule(alarm.period)
    end = int(now // step) * step
    periods = alarm.evaluation_periods + EXTRA_PERIODS
    return tuple(end - alarm.period * back for back in range(periods, 0, -1))


def is_due(alarm: Alarm, now: float, last: float | None) -> bool:
    """Whether a granule was completed since the alarm was last evaluated."""
    step = granule(alarm.period)
    return last is None or int(now // step) > int(last // step)


def saw_a_whole_period(alarm: Alarm, since: float, now: float) -> bool:
    """Whether a period that began after ``since`` has ended."""
    return int(now // alarm.period) - int(since // alarm.period) >= 2


def is_additive(statistic: str) -> bool:
    """Whether the statistic of a long period follows from those of its granules (percentiles don't)."""
    return statistic in {"Sum", "SampleCount", "Average", "Minimum", "Maximum"}


def fold(
    parts: Mapping[int, Part], *, starts: Sequence[int], period: int, statistic: str
) -> dict[int, float]:
    """One value for each period in which there was a sample."""
    values = {}
    for start in starts:
        inside = [parts[at] for at in range(start, start + period, granule(period)) if at in parts]
        if any(part.count for part in inside):
            values[start] = _statistic([part for part in inside if part.count], statistic)
    return values


def _statistic(parts: Iterable[Part], statistic: str) -> float:
    parts = list(parts)
    count, total = sum(part.count for part in parts), sum(part.total for part in parts)
    return {
        "SampleCount": count,
        "Sum": total,
        "Average": total / count,
        "Minimum": min(part.lowest for part in parts),
        "Maximum": max(part.highest for part in parts),
    }[statistic]
