"""What workers counted of their tasks, as the controller passes it on, once a minute, when one is over.

The last hour goes to `fleet tasks`, and all that it has seen to `/metrics`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import redis

from taskfleet.contract.metrics import WINDOW_SECONDS
from taskfleet.controller.fleet_snapshot import RunsSnapshot
from taskfleet.controller.hours import LastHour
from taskfleet.measuring import tasks
from taskfleet.measuring.histogram import Histogram

# A minute is over on Redis's clock; ours may be ahead of it.
SETTLES_SECONDS = 5.0
# Kept for `fleet tasks`: a DynamoDB item takes 400 KB.
MOST_ROWS = 300
MOST_EXCEPTIONS = 5

Labels = tuple[str, ...]  # environment, release, queue, task


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task name in one queue of a release, over an hour; seconds and MiB. None: nothing to measure."""

    release: str
    queue: str
    task: str
    succeeded: int
    failed: int
    retried: int
    others: int
    exceptions: dict[str, int]
    wait_p50: float | None
    wait_p95: float | None
    runtime_p50: float | None
    runtime_p95: float | None
    runtime_sum: float
    memory_p95_mib: float | None

    @property
    def runs(self) -> int:
        """All of them."""
        return self.succeeded + self.failed + self.retried + self.others


@dataclass(frozen=True, kw_only=True)
class Hour:
    """The tasks of an hour that ended at ``until``; ``left_out`` of them have no row."""

    until: float
    tasks: tuple[Task, ...]
    left_out: int = 0

    def to_json(self) -> str:
        """As kept in the state table."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Hour:
        """Read what `to_json` wrote. ``ValueError`` for anything else."""
        try:
            data: dict[str, Any] = json.loads(text)
            rows = tuple(Task(**row) for row in data.pop("tasks"))
            return cls(tasks=rows, **data)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not of this version of taskfleet ({error})") from error


class TaskFigures:
    """What it remembers may be lost at any time: `/metrics` then counts from zero, as counters may."""

    def __init__(self) -> None:
        self.totals: Mapping[Labels, Counter[str]] = {}
        self._hours: dict[str, LastHour] = {}  # by release
        self._recent: Mapping[tuple[str, str], Counter[str]] = {}
        self._after: int | None = None  # the last minute that is in them

    def recent(self, now: float) -> Mapping[tuple[str, str], Counter[str]] | None:
        """The counts of the last `WINDOW_SECONDS`, by release and queue; None: they could not be read."""
        return self._recent if self._after == _over(now) else None

    def look(
        self, connection: redis.Redis, environment: str, releases: Iterable[str], now: float
    ) -> Hour | None:
        """The last hour, if a minute is over since the look before. Raises redis-py's errors.

        Then nothing is counted, and the next look does it.
        """
        over = _over(now)
        if self._after is not None and over <= self._after:
            return None
        hours = {release: self._hours.get(release, LastHour()) for release in releases}
        read = {
            release: tasks.texts(connection, environment, release, hour.missing(over))
            for release, hour in hours.items()
        }
        new = (over if self._after is None else self._after) + 1
        totals = {labels: counts for labels, counts in self.totals.items() if labels[1] in hours}
        for release, minutes in read.items():
            hours[release].add(minutes)
            for key, counts in hours[release].since(new).items():
                labels = (environment, release, *key)
                totals[labels] = totals.get(labels, Counter()) + counts
        self.totals, self._hours, self._after = totals, hours, over
        self._recent = _recent(hours, over - WINDOW_SECONDS // 60 + 1)
        rows = [
            row(release, key, tasks.parsed(counts))
            for release, hour in hours.items()
            for key, counts in hour.sums.items()
        ]
        return _hour(rows, until=60.0 * (over + 1))


def _recent(hours: Mapping[str, LastHour], since: int) -> dict[tuple[str, str], Counter[str]]:
    found: dict[tuple[str, str], Counter[str]] = {}
    for release, hour in hours.items():
        for (queue, _), counts in hour.since(since).items():
            found.setdefault((release, queue), Counter()).update(counts)
    return found


def runs(counts: Mapping[str, int]) -> RunsSnapshot:
    """What a look says of some counts."""
    figures = tasks.parsed(counts)
    wait = figures.wait
    return RunsSnapshot(
        ended=figures.ended + figures.lost,
        failed=figures.failed + figures.rejected + figures.lost,
        retried=figures.retried,
        wait_p50_seconds=_rounded(wait, 0.5),
        wait_p95_seconds=_rounded(wait, 0.95),
    )


def _over(now: float) -> int:
    """The last minute that is over."""
    return int(now - SETTLES_SECONDS) // 60 - 1


def _hour(rows: list[Task], *, until: float) -> Hour:
    """Where there is no room for all: those with failures and retries first, then those with most runs."""
    wanted = sorted(rows, key=lambda each: (-(each.failed + each.retried), -each.runs))
    return Hour(until=until, tasks=tuple(wanted[:MOST_ROWS]), left_out=len(wanted[MOST_ROWS:]))


def row(release: str, key: tasks.Key, figures: tasks.Figures) -> Task:
    """What `fleet tasks` shows of some figures."""
    wait, memory = figures.wait, figures.memory_gib.percentile(0.95)
    return Task(
        release=release,
        queue=key[0],
        task=key[1],
        succeeded=figures.succeeded,
        failed=figures.failed,
        retried=figures.retried,
        others=figures.rejected + figures.ignored + figures.revoked + figures.expired + figures.lost,
        exceptions=dict(Counter(figures.exceptions).most_common(MOST_EXCEPTIONS)),
        wait_p50=_rounded(wait, 0.5),
        wait_p95=_rounded(wait, 0.95),
        runtime_p50=_rounded(figures.runtime, 0.5),
        runtime_p95=_rounded(figures.runtime, 0.95),
        runtime_sum=round(figures.runtime.sum, 3),
        memory_p95_mib=None if memory is None else round(1024 * memory),
    )


def _rounded(histogram: Histogram, q: float) -> float | None:
    value = histogram.percentile(q)
    return None if value is None else round(value, 4)
