"""So many runs a second, over all workers and pools: each run reserves its moment in Redis.

One key says when the next run may begin (the generic cell rate algorithm: a token bucket without a timer).
A run that comes too early reserves the moment that is its turn, is published again for then, and runs without
asking again: it holds no slot, tasks behind it pass it, and runs of one key keep their order.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from redis.exceptions import RedisError

from taskfleet.logs import logger
from taskfleet.tools import running
from taskfleet.tools.keys import KeyOf
from taskfleet.tools.rescheduling import later, spread

F = TypeVar("F", bound=Callable[..., Any])

PREFIX = "taskfleet:rate:"
RESERVED_HEADER = "taskfleet-rate"
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)/([smh])")
# A turn that comes so soon is slept for: publishing anew takes longer.
_SLEPT_SECONDS = 0.05
# ARGV: microseconds between two runs, and how far a burst may be ahead. Returns microseconds to wait.
_RESERVE = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local turn = math.max(tonumber(redis.call('GET', KEYS[1])) or 0, now)
local next = turn + ARGV[1]
local kept = string.format('%.0f', (next - now) / 1000 + 1000)
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', kept)
return string.format('%.0f', math.max(0, turn - ARGV[2] - now))
"""


def seconds_between(written: str) -> float:
    """Of ``"70/s"``, ``"10/m"`` or ``"0.5/h"``. Raises ``ValueError``."""
    found = _WRITTEN.fullmatch(written)
    if found is None or float(found[1]) == 0:
        raise ValueError(f'rate {written!r}: a number above 0, and /s, /m or /h, as "70/s"')
    return _UNITS[found[2]] / float(found[1])


def rate(
    allowed: str,
    *,
    by: Sequence[str] = (),
    name: str | None = None,
    burst: int = 1,
    wait_seconds: float = 5.0,
) -> Callable[[F], F]:
    """At most ``allowed`` runs (``"70/s"``, ``"10/m"``), over all workers; put it below ``@app.task``.

    ``by`` names arguments (a bank, a tenant): each of their values has a rate of its own. ``name`` shares one
    rate between tasks. ``burst`` runs may begin at once after a quiet time. A retry takes a turn of its own.

    While Redis can't be reached, nobody knows whose turn it is: the task waits, in steps of about
    ``wait_seconds``. A Redis that came back empty begins a new count.
    """
    between = seconds_between(allowed)
    if burst < 1 or wait_seconds <= 0:
        raise ValueError(
            f"rate(burst={burst}, wait_seconds={wait_seconds}): a burst is 1 at least, a wait above 0 s"
        )

    def decorate(function: F) -> F:
        key_of = KeyOf(function, by)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            task = running.task_of_a_message()
            if task is not None and not _is_reserved(task):
                _take_turn(
                    task, f"{PREFIX}{name or task.name}:{key_of(args, kwargs)}", between, burst, wait_seconds
                )
            return function(*args, **kwargs)

        return run  # type: ignore[return-value]

    return decorate


def _is_reserved(task: Any) -> bool:
    """Whether this very try has had its turn; a retry inherits the header and has not."""
    return bool((task.request.headers or {}).get(RESERVED_HEADER) == task.request.retries)


def _take_turn(task: Any, key: str, between: float, burst: int, wait_seconds: float) -> None:
    try:
        wait = reserve(running.redis_of(task), key, between=between, burst=burst)
    except (RedisError, OSError) as error:
        logger.warning("%s waits, since Redis does not say whose turn it is: %s", task.name, error)
        later(task, spread(wait_seconds))
    if wait > _SLEPT_SECONDS:
        later(task, wait, **{RESERVED_HEADER: task.request.retries})
    time.sleep(wait)


def reserve(client: Any, key: str, *, between: float, burst: int) -> float:
    """Seconds until the turn that is now reserved; ``between`` is seconds from one turn to the next."""
    return int(client.eval(_RESERVE, 1, key, between * 1e6, (burst - 1) * between * 1e6)) / 1e6
