"""Which workers shall go: marked by the controller on Redis, read by the workers, gone by itself.

ECS ends idle workers when it scales in, never protected ones. A service that has more workers than it wants
marks the surplus, so that they become idle.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import redis

from taskfleet.contract.messages import REDIS_LEAVING

# A controller that is gone marks nobody: its marks end, and the workers fetch again.
SECONDS = 60


def chosen(alive: Iterable[str], marked: Collection[str], surplus: int) -> list[str]:
    """Those that shall go: who was marked before, so that somebody becomes idle; then the first."""
    return sorted(alive, key=lambda task: task not in marked)[: max(0, surplus)]


def read(client: redis.Redis, service: str) -> set[str]:
    """The marked tasks of a service. Raises redis-py's errors."""
    found = client.smembers(REDIS_LEAVING + service)
    return {task.decode() if isinstance(task, bytes) else task for task in found}


def write(client: redis.Redis, service: str, tasks: Sequence[str]) -> None:
    """Mark these and no others. Raises redis-py's errors."""
    key = REDIS_LEAVING + service
    with client.pipeline(transaction=True) as pipe:
        pipe.delete(key)
        if tasks:
            pipe.sadd(key, *tasks)
            pipe.expire(key, SECONDS)
        pipe.execute()


def is_marked(client: redis.Redis, service: str, task: str) -> bool:
    """Whether this one shall go. Raises redis-py's errors."""
    return bool(client.sismember(REDIS_LEAVING + service, task))
