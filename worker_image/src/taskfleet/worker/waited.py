"""How long a message waited: from its publishing, or its ETA, to its start.

A producer's clock and a worker's differ. So the broker's own clock is asked: when it accepted the message,
and when it gave it away (`DELIVERY_PUBLISHED`). One without that is measured with two clocks, and marked.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from taskfleet.brokers.eta import seconds_until
from taskfleet.contract.messages import DELIVERY_PUBLISHED, PUBLISHED_AT_HEADER


class Waited(NamedTuple):
    """``unsure``: measured with two clocks. None if nobody says when it was published."""

    seconds: float | None
    unsure: bool = False


UNKNOWN = Waited(None)


def of(message: Any, *, began: float, began_at: float) -> Waited:
    """Of a message whose task ``began`` by the monotonic clock, ``began_at`` in seconds since the epoch."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    published_at = headers.get(PUBLISHED_AT_HEADER)
    published_at = published_at if isinstance(published_at, int | float) else None
    delivery = message.delivery_info if isinstance(message.delivery_info, dict) else {}
    published: float | None = delivery.get(DELIVERY_PUBLISHED)
    if published_at is None and (published is None or headers.get("eta")):
        return UNKNOWN
    # Both are the producer's: how far ahead its ETA was.
    ahead = 0.0 if published_at is None else max(0.0, seconds_until(headers, now=published_at))
    if published is not None:
        return Waited(max(0.0, began - published - ahead))
    return Waited(max(0.0, began_at - (published_at or 0.0) - ahead), unsure=True)
