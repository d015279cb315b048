"""Done once: what one run did is kept, and a second run gets its result instead of doing it again."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from celery.exceptions import Ignore

from taskfleet.contract import tools as keys
from taskfleet.idempotency import idempotency_key
from taskfleet.logs import logger
from taskfleet.tools import running
from taskfleet.tools.keys import KeyOf
from taskfleet.tools.leases import Done
from taskfleet.tools.limits import LEASE_SECONDS
from taskfleet.tools.rescheduling import later, spread

F = TypeVar("F", bound=Callable[..., Any])

# As long as a duplicate may come by default: until the task's expiry.
KEEP_SECONDS = 8 * 24 * 3600.0
MOST_RESULT_BYTES = 100_000


def once(
    *,
    by: Sequence[str] | None = None,
    name: str | None = None,
    while_running: Literal["wait", "drop"] = "wait",
    keep_seconds: float = KEEP_SECONDS,
    wait_seconds: float = 5.0,
    lease_seconds: float = LEASE_SECONDS,
) -> Callable[[F], F]:
    """A run that came to its end is not repeated for ``keep_seconds``; put it below ``@app.task``.

    The key is the message's (`taskfleet.idempotency_key`: redeliveries and retries share it), or with ``by``
    the values of these arguments. A second run returns what the first returned, as JSON brings it back. While
    the first still runs, it waits (published again for later), or ends at once with ``while_running="drop"``.
    A run that raises, retries included, leaves nothing: the next one does the work.

    What it can't promise: a process that is killed after its work and before its end is written down here
    runs again. Work that must never take effect twice is written together with the key, in one transaction
    of its own database (`taskfleet.idempotency_key`).
    """
    if while_running not in ("wait", "drop") or keep_seconds <= 0 or wait_seconds <= 0 or lease_seconds < 1:
        raise ValueError(
            'once(): while_running is "wait" or "drop", times are above 0 s, leases 1 s at least'
        )

    def decorate(function: F) -> F:
        key_of = KeyOf(function, by or ())

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            task = running.task_of_a_message()
            if task is None:
                return function(*args, **kwargs)
            known = idempotency_key() if by is None else key_of(args, kwargs)
            leases, key = running.leases(task), keys.once(name or task.name, known)
            lease = running.take(task, leases, key, most=1, seconds=lease_seconds, wait_seconds=wait_seconds)
            if isinstance(lease, Done):
                logger.info("%s: %s is done already", task.name, key)
                return json.loads(lease.result)
            if lease is None:
                if while_running == "drop":
                    raise Ignore
                later(task, spread(wait_seconds))
            try:
                with running.renewed(leases, lease, lease_seconds):
                    result = function(*args, **kwargs)
            except BaseException:
                _try(leases.free, lease)
                raise
            _try(leases.finish, lease, _kept(result), keep_seconds=keep_seconds)
            return result

        return run  # type: ignore[return-value]

    return decorate


def _kept(result: Any) -> str:
    """Its JSON; that of None for what has none, or is large."""
    try:
        text = json.dumps(result)
    except (TypeError, ValueError):
        return "null"
    return text if len(text) <= MOST_RESULT_BYTES else "null"


def _try(call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    try:
        call(*args, **kwargs)
    except running.UNKNOWN as error:
        logger.warning(
            "%s of %s failed: a second run would do the work again: %s", call.__name__, args[0].key, error
        )
