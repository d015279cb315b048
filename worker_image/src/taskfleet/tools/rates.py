"""So many runs a second, over all workers and pools: each run reserves its moment in Redis.

One key says when the next run may begin (the generic cell rate algorithm: a token bucket without a timer).
A run that comes too early reserves the moment that is its turn, is published again for then, and runs without
asking again: it holds no slot, tasks behind it pass it, and runs of one key keep their order.

An operator may set another rate (`taskfleet.tools.rate_settings`). Then a new count begins, and who has
reserved a turn by the old one reserves anew when it comes back, which it does every minute at least.
"""

from __future__ import annotations

import contextlib
import functools
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from redis.exceptions import RedisError

from taskfleet import aws
from taskfleet.cached_read import CachedRead
from taskfleet.logs import logger
from taskfleet.tools import running
from taskfleet.tools.keys import KeyOf
from taskfleet.tools.rate_settings import READ_EVERY_SECONDS, RateSettings, Settings
from taskfleet.tools.rescheduling import later, spread

F = TypeVar("F", bound=Callable[..., Any])

PREFIX = "taskfleet:rate:"
RESERVED_HEADER = "taskfleet-rate"
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)/([smh])")
# A turn that comes so soon is slept for: publishing anew takes longer.
_SLEPT_SECONDS = 0.05
# Who waits longer comes back in between, in case another rate was set.
BACK_SECONDS = 60.0
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
    ``wait_seconds``. A Redis that came back empty begins a new count. ``fleet rate`` sets another rate at run
    time, for all keys or for one: it holds within ten seconds for what begins or has its turn, and within a
    minute for what waits. A worker that has not read since its start what is set waits as well.
    """
    declared = _Rate(allowed, burst)
    if burst < 1 or wait_seconds <= 0:
        raise ValueError(
            f"rate(burst={burst}, wait_seconds={wait_seconds}): a burst is 1 at least, a wait above 0 s"
        )

    def decorate(function: F) -> F:
        key_of = KeyOf(function, by)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            task = running.task_of_a_message()
            if task is not None:
                _take_turn(task, name or task.name, key_of(args, kwargs), declared, wait_seconds)
            return function(*args, **kwargs)

        return run  # type: ignore[return-value]

    return decorate


class _Rate:
    """``version`` 0 is the decorator's own."""

    def __init__(self, allowed: str, burst: int, version: int = 0) -> None:
        self.between, self.burst, self.version = seconds_between(allowed), burst, version
        self.text = f"{allowed}, burst {burst}"


def _take_turn(task: Any, name: str, key: str, declared: _Rate, wait_seconds: float) -> None:
    """Return when it is this run's turn."""
    try:
        rate = _rate(task, name, key, declared)
        turn = _reserved(task, rate)
        if turn is None:
            wait = reserve(running.redis_of(task), _redis_key(name, key, rate), rate.between, rate.burst)
            turn = time.time() + wait
        else:
            wait = turn - time.time()
    except (RedisError, OSError, *running.UNKNOWN) as error:
        logger.warning("%s waits, since it is not known whose turn it is: %s", task.name, error)
        later(task, spread(wait_seconds))
    if wait > _SLEPT_SECONDS:
        header = {"retries": task.request.retries, "version": rate.version, "at": turn}
        later(task, min(wait, BACK_SECONDS), **{RESERVED_HEADER: header})
    time.sleep(max(0.0, wait))


def _reserved(task: Any, rate: _Rate) -> float | None:
    """The turn that this very try has reserved by this rate; a retry inherits the header and has none."""
    header = (task.request.headers or {}).get(RESERVED_HEADER)
    if not isinstance(header, dict) or header.get("retries") != task.request.retries:
        return None
    return float(header["at"]) if header.get("version") == rate.version else None


def _rate(task: Any, name: str, key: str, declared: _Rate) -> _Rate:
    """What is set for it, or what is declared."""
    known = task.app.taskfleet
    if not hasattr(known, "tools_rates"):
        known.tools_rates = CachedRead(
            "what rates are set to",
            RateSettings(_Prompt(), known.settings.environment).read,
            keep_seconds=READ_EVERY_SECONDS,
            patience_seconds=aws.PROMPT_SECONDS,
        )
        known.tools_rates_told = set()
    settings: Settings = known.tools_rates.get()
    if settings.known.get(name) != declared.text and name not in known.tools_rates_told:
        known.tools_rates_told.add(name)
        with contextlib.suppress(*running.UNKNOWN):
            RateSettings(_Prompt(), known.settings.environment).is_known(name, declared.text)
    setting = settings.of(name, key)
    return declared if setting is None else _Rate(setting.allowed, setting.burst, setting.version)


class _Prompt:
    """The process's DynamoDB client, also after a fork; a slot waits for what it says."""

    def __getattr__(self, name: str) -> Any:
        return getattr(aws.client("dynamodb", aws.PROMPT), name)


def _redis_key(name: str, key: str, rate: _Rate) -> str:
    """A count of its own for each version."""
    version = f"{rate.version}:" if rate.version else ""
    return f"{PREFIX}{version}{name}:{key}"


def reserve(client: Any, key: str, between: float, burst: int) -> float:
    """Seconds until the turn that is now reserved; ``between`` is seconds from one turn to the next."""
    return int(client.eval(_RESERVE, 1, key, between * 1e6, (burst - 1) * between * 1e6)) / 1e6
