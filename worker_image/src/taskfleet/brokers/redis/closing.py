"""Queues that nobody consumes any more: the script that would publish to one refuses it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from taskfleet.contract import limits
from taskfleet.contract.messages import GATE_CHECK_TASK, GATE_TASK, REDIS_CLOSED

# A queue that was never consumed holds a few gate tasks, which are no work and would never leave it.
_GATES_AMONG_AT_MOST = 100
_GATES = tuple(f'"task": "{task}"'.encode() for task in (GATE_TASK, GATE_CHECK_TASK))


def close(client: Any, queues: Iterable[str], *, prefix: str = "") -> bool:
    """Refuse publishes to these queues from now on, and remove their gate tasks.

    Whether any of them was open. Raises redis-py's errors.
    """
    was_open = False
    for queue in queues:
        was_open |= bool(client.hsetnx(prefix + REDIS_CLOSED, queue, int(time.time() * 1000)))
        for name in limits.redis_lists(queue):
            _remove_gates(client, prefix + name)
    return was_open


def reopen(client: Any, queues: Iterable[str], *, prefix: str = "") -> None:
    """Take publishes again. Raises redis-py's errors."""
    for queue in queues:
        client.hdel(prefix + REDIS_CLOSED, queue)


def _remove_gates(client: Any, key: str) -> None:
    if client.llen(key) > _GATES_AMONG_AT_MOST:
        return
    for text in client.lrange(key, 0, -1):
        raw = text if isinstance(text, bytes) else text.encode()
        if any(gate in raw for gate in _GATES):
            client.lrem(key, 1, text)
