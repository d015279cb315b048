"""What tasks experienced, per queue and task name: how they ended, how long they waited and ran.

Workers count it (`taskfleet.worker.tally`) and add it up in the primary broker, minute by minute on its own
clock. Here it is read. What a worker could not hand over (it was killed, or Redis was away until it ended) is
missing, and what waited in a worker for Redis is in the minute in which Redis was back.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import redis

from taskfleet.contract import figures
from taskfleet.measuring.histogram import Histogram

Key = tuple[str, str]  # logical queue, task name


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one task name in one queue, over some time. Each run is one of the first eight.

    ``retried``: another message follows. ``lost``: its process was killed, and its message was given back.
    ``exceptions``: by type, of those that failed, were retried or rejected. ``wait`` is from a message's
    publishing, or its ETA, to its start, and ``waits`` the same by the priority that Redis serves it with.
    ``unsure_waits`` of them were measured with two clocks, a producer's and a worker's; ``unknown_waits`` are
    in none, as nobody says when they were published. ``memory_gib`` is what a child had after a task, looked
    at now and then.
    """

    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    rejected: int = 0
    ignored: int = 0
    revoked: int = 0
    expired: int = 0
    lost: int = 0
    exceptions: Mapping[str, int] = field(default_factory=dict)
    runtime: Histogram = field(default_factory=Histogram)
    waits: Mapping[int, Histogram] = field(default_factory=dict)
    unsure_waits: int = 0
    unknown_waits: int = 0
    memory_gib: Histogram = field(default_factory=Histogram)

    @property
    def wait(self) -> Histogram:
        """Of all priorities."""
        merged = Histogram()
        for each in self.waits.values():
            merged = merged.merged(each)
        return merged

    @property
    def ended(self) -> int:
        """Runs that came to an end of their own: succeeded, failed, retried, rejected or ignored."""
        return self.succeeded + self.failed + self.retried + self.rejected + self.ignored


def read(
    connection: redis.Redis, environment: str, release: str, since: float, until: float
) -> dict[Key, Figures]:
    """The figures of a release, of every minute that is in part between ``since`` and ``until``.

    Both in seconds since the epoch. Raises redis-py's errors when the broker does not answer; minutes more
    than `taskfleet.contract.figures.KEEP_SECONDS` ago are gone.
    """
    found: dict[Key, Counter[str]] = {}
    for _, minute in texts(connection, environment, release, _minutes(since, until)):
        for key, text in minute.items():
            found.setdefault(key, Counter()).update(json.loads(text))
    return {key: parsed(counts) for key, counts in found.items()}


def read_by_minute(
    connection: redis.Redis, environment: str, release: str, since: float, until: float
) -> dict[Key, list[Figures]]:
    """As `read`, with the figures of each minute in which there are some apart, in their order."""
    found: dict[Key, list[Figures]] = {}
    for _, minute in texts(connection, environment, release, _minutes(since, until)):
        for key, text in minute.items():
            found.setdefault(key, []).append(parsed(json.loads(text)))
    return found


def _minutes(since: float, until: float) -> range:
    return range(int(since // 60), math.ceil(until / 60))


def texts(
    connection: redis.Redis, environment: str, release: str, minutes: Iterable[int]
) -> list[tuple[int, dict[Key, str]]]:
    """The counts behind `read` as JSON, in one round trip; minutes are numbered since the epoch."""
    wanted = list(minutes)
    with connection.pipeline(transaction=False) as asked:
        for minute in wanted:
            asked.hgetall(figures.key(environment, release, minute))
        replies = asked.execute()
    found = [{figures.split(_text(name)): _text(text) for name, text in reply.items()} for reply in replies]
    return list(zip(wanted, found, strict=True))


def parsed(counts: Mapping[str, int]) -> Figures:
    """Figures from their counts (`taskfleet.contract.figures`)."""
    by_kind: dict[str, dict[str, int]] = {}
    for figure, count in counts.items():
        kind, _, detail = figure.partition(":")
        by_kind.setdefault(kind, {})[detail] = count
    waits: dict[int, dict[str, int]] = {}
    for detail, count in by_kind.get(figures.WAIT, {}).items():
        priority, _, number = detail.partition(":")
        waits.setdefault(int(priority), {})[number] = count
    outcomes = by_kind.get(figures.OUTCOME, {})
    return Figures(
        **{outcome: outcomes.get(outcome, 0) for outcome in figures.OUTCOMES},
        exceptions=by_kind.get(figures.EXCEPTION, {}),
        runtime=_histogram(by_kind.get(figures.RUNTIME, {})),
        waits={priority: _histogram(found) for priority, found in sorted(waits.items())},
        unsure_waits=counts.get(figures.UNSURE_WAIT, 0),
        unknown_waits=counts.get(figures.UNKNOWN_WAIT, 0),
        memory_gib=_histogram(by_kind.get(figures.MEMORY, {})),
    )


def _histogram(counts: Mapping[str, int]) -> Histogram:
    buckets = {int(number): count for number, count in counts.items() if number != figures.SUM}
    return Histogram(buckets, counts.get(figures.SUM, 0) / figures.PARTS)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
