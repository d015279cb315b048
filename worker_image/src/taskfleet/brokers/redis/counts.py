"""What a queue holds, read in constant time: the scripts have kept count."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from taskfleet.contract import limits, messages


@dataclass(frozen=True)
class Counts:
    """One physical queue. Times are seconds since the epoch; None where there is nothing, or it is not known.

    ``in_flight`` counts what workers on our transport hold, ETA included; a stock worker's are not in it.
    """

    waiting: int
    in_flight: int
    oldest_published_at: float | None
    oldest_fetched_at: float | None


def read(client: Any, queues: Iterable[str], *, prefix: str = "") -> dict[str, Counts]:
    """The counts of each queue in one round trip, whatever their size. Raises redis-py's errors."""
    names = tuple(queues)
    pipe = client.pipeline(transaction=False)
    for queue in names:
        _ask(pipe, queue, prefix)
    replies = pipe.execute()
    width = len(replies) // len(names) if names else 0
    return {queue: _counts(replies[at * width : (at + 1) * width]) for at, queue in enumerate(names)}


def _ask(pipe: Any, queue: str, prefix: str) -> None:
    for name in limits.redis_lists(queue):
        pipe.llen(prefix + name)
        pipe.lindex(prefix + name, -1)  # LPUSH puts in at the head, so the next one out is the last
    in_flight = prefix + messages.REDIS_IN_FLIGHT + queue
    pipe.zcard(in_flight)
    pipe.zrange(in_flight, 0, 0, withscores=True)


def _counts(replies: Sequence[Any]) -> Counts:
    *lists, in_flight, oldest = replies
    published = [at for text in lists[1::2] if text is not None and (at := _published_at(text)) is not None]
    return Counts(
        waiting=sum(lists[::2]),
        in_flight=in_flight,
        oldest_published_at=min(published, default=None),
        oldest_fetched_at=oldest[0][1] / 1000 if oldest else None,
    )


def _published_at(text: bytes | str) -> float | None:
    try:
        return float(json.loads(text)["headers"][messages.PUBLISHED_AT_HEADER])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
