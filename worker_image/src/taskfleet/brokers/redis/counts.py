"""What a queue holds, read in constant time and without its bodies: one script for each queue.

The transport's scripts have kept count of what its workers hold. What stock workers hold is only known from
the messages themselves; Redis looks into those, and tells no more of each than its queue and its ETA.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from taskfleet.brokers import eta
from taskfleet.brokers.redis import looks
from taskfleet.brokers.redis.commands import Script
from taskfleet.contract import limits

_LOOK, _STOCK, _TELL = Script(looks.LOOK), Script(looks.STOCK), Script(looks.TELL)
_NAMES = Script(looks.NAMES)
# Looked into by one call: some milliseconds of Redis's time if all of them are large.
_PAGE = 50


@dataclass(frozen=True)
class Counts:
    """One physical queue. Times are seconds since the epoch; None where there is nothing, or it is not known.

    ``waiting``: could run now. ``in_flight``: what workers on our transport hold; a stock worker's are not in
    it. ``scheduled``: waits for its ETA in Redis. ``oldest_at``: since when the oldest waiting one could run,
    from its publishing or its ETA. ``taken``: fetched by workers on our transport and not given back, counted
    since some beginning.
    """

    waiting: int
    in_flight: int
    scheduled: int = 0
    oldest_at: float | None = None
    oldest_fetched_at: float | None = None
    taken: int = field(default=0, compare=False)


@dataclass(frozen=True)
class StockHeld:
    """A message that a stock worker holds. ``eta`` as the message says it, empty if it does not."""

    queue: str
    eta: str


def read(client: Any, queues: Iterable[str], *, prefix: str = "") -> dict[str, Counts]:
    """The counts of each queue in one round trip, whatever their size. Raises redis-py's errors."""
    names = tuple(queues)
    replies = _run(client, _LOOK, [[prefix, queue, *limits.redis_lists(queue)] for queue in names], prefix)
    return dict(zip(names, map(_counts, replies), strict=True))


def stock_held(client: Any, *, at_most: int, prefix: str = "") -> list[StockHeld] | None:
    """What stock workers hold, of all queues; None if that is more than ``at_most``. Raises as `read`."""
    (tags,) = _run(client, _STOCK, [[prefix, at_most + 1]], prefix)
    if len(tags) > at_most:
        return None
    pages = [[prefix, *tags[at : at + _PAGE]] for at in range(0, len(tags), _PAGE)]
    told = [_text(part) for reply in _run(client, _TELL, pages, prefix) for part in reply]
    return [StockHeld(queue, due) for queue, due in zip(told[::2], told[1::2], strict=True)]


def task_names(client: Any, queues: Iterable[str], *, at_most: int, prefix: str = "") -> list[str]:
    """The task of each message in these queues, empty where it names none; of ``at_most`` in each place.

    Raises as `read`.
    """
    calls = [[prefix, at_most, queue, *limits.redis_lists(queue)] for queue in queues]
    return [_text(name) for reply in _run(client, _NAMES, calls, prefix) for name in reply]


def _run(client: Any, script: Script, calls: Sequence[Sequence[Any]], prefix: str) -> list[Any]:
    if not calls:
        return []
    pipe = client.pipeline(transaction=False)
    pipe.execute_command("SCRIPT LOAD", script.text)
    for arguments in calls:
        pipe.execute_command(
            "EVALSHA", script.digest, 2, prefix + "unacked", prefix + "unacked_index", *arguments
        )
    return list(pipe.execute()[1:])


def _counts(reply: Sequence[Any]) -> Counts:
    waiting, in_flight, scheduled, due, fetched, taken, *said = reply
    since = [None if due is None else float(due) / 1000]
    since += [_could_run_at(*pair) for pair in zip(said[::2], said[1::2], strict=True)]
    return Counts(
        waiting=waiting,
        in_flight=in_flight,
        scheduled=scheduled,
        oldest_at=min((at for at in since if at is not None), default=None),
        oldest_fetched_at=None if fetched is None else float(fetched) / 1000,
        taken=int(taken or 0),
    )


def _could_run_at(published: bytes | str, due: bytes | str) -> float | None:
    """None for a message of a producer that doesn't say when it published."""
    try:
        at = float(published)
    except ValueError:
        return None
    return at + max(0.0, eta.seconds_until({"eta": _text(due)}, now=at))


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
