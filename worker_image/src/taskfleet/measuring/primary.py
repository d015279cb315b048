"""The primary broker: one pipeline for the lists, one scan for what is in flight."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import redis

from taskfleet.brokers.redis import counts
from taskfleet.brokers.redis.counts import Counts
from taskfleet.contract.messages import REDIS_IN_FLIGHT
from taskfleet.measuring.depth import PrimaryDepth

UNACKED = "unacked"  # kombu's hash: delivery tag → [message, exchange, routing key]
_PAGE = 1000
# The routing key is the name of the versioned queue, and the last thing in an entry. Read so, an entry
# of any size costs no parsing of its body.
_ROUTING_KEY = re.compile(rb',\s*"([^"\\]*)"\s*\]\s*$')
_ETA = re.compile(rb'"eta":\s*"([^"\\]+)"')
_LOOKED_AT_FOR_ETA = 16 * 1024  # bytes from either end; headers stand beside the body, not in it


# More entries than this are not read: their messages would be some ten megabytes at each look.
SCANNED_AT_MOST = 10_000


def depths(
    client: redis.Redis, queues: Iterable[str], *, now: float, scan_at_most: int = SCANNED_AT_MOST
) -> dict[str, PrimaryDepth]:
    """The depth of each versioned queue. Raises redis-py's errors when the broker does not answer.

    With more than ``scan_at_most`` messages in flight on the broker the transport's own counters are
    read instead of the messages: ``scheduled`` is then not known, nor is ``unacknowledged`` while
    stock workers, whom nobody counts, hold some of them.
    """
    wanted = tuple(queues)
    lists = counts.read(client, wanted)
    total, counted = _counters(client, wanted)
    if total <= scan_at_most:
        in_flight, scheduled = _in_flight(client, now=now)
        return {q: _depth(lists[q], in_flight[q], scheduled[q]) for q in wanted}
    all_counted = sum(counted.values()) == total
    return {q: _depth(lists[q], counted[q] if all_counted else None, None) for q in wanted}


def _depth(lists: Counts, unacknowledged: int | None, scheduled: int | None) -> PrimaryDepth:
    return PrimaryDepth(
        waiting=lists.waiting,
        oldest_at=lists.oldest_published_at,
        unacknowledged=unacknowledged,
        scheduled=scheduled,
    )


def _counters(client: redis.Redis, queues: tuple[str, ...]) -> tuple[int, dict[str, int]]:
    """All that is in flight, and what the fleet's transport counts for each queue, at one moment."""
    with client.pipeline(transaction=True) as pipe:
        pipe.hlen(UNACKED)
        for queue in queues:
            pipe.zcard(f"{REDIS_IN_FLIGHT}{queue}")
        total, *held = pipe.execute()
    return total, dict(zip(queues, held, strict=True))


def _in_flight(client: redis.Redis, *, now: float) -> tuple[Counter[str], Counter[str]]:
    """How many messages are unacknowledged, and how many of those only wait for their ETA, by queue."""
    in_flight: Counter[str] = Counter()
    scheduled: Counter[str] = Counter()
    tags: set[bytes] = set()  # HSCAN may give an entry twice
    for page in _pages(client):
        for tag in page.keys() - tags:
            queue = _queue(page[tag])
            in_flight[queue] += 1
            scheduled[queue] += _waits_for_eta(page[tag], now)
        tags |= page.keys()
    return in_flight, scheduled


def _pages(client: redis.Redis) -> Iterator[dict[bytes, bytes]]:
    cursor: Any = 0
    while True:
        found: Any = client.hscan(UNACKED, cursor, count=_PAGE)
        cursor, page = found
        yield page
        if cursor == 0:
            return


def _queue(entry: bytes) -> str:
    match = _ROUTING_KEY.search(entry[-512:])
    if match:
        return match[1].decode(errors="replace")
    try:
        return str(json.loads(entry)[2])
    except (ValueError, IndexError, KeyError, TypeError):
        return ""


def _waits_for_eta(entry: bytes, now: float) -> bool:
    match = _ETA.search(entry[:_LOOKED_AT_FOR_ETA]) or _ETA.search(entry[-_LOOKED_AT_FOR_ETA:])
    if match is None:
        return False
    try:
        eta = datetime.fromisoformat(match[1].decode())
    except ValueError:
        return False
    return (eta if eta.tzinfo else eta.replace(tzinfo=UTC)).timestamp() > now
