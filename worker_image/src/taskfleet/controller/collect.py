"""Bring into the dead-letter store what SQS put aside, and what workers could only keep in Redis."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial

import redis
from botocore.exceptions import BotoCoreError, ClientError

from taskfleet.contract import names
from taskfleet.controller.clients import Clients
from taskfleet.controller.gather import Gathered
from taskfleet.dead_letters import collecting

logger = logging.getLogger(__name__)
# Nobody answers: the other queues of the same broker would cost a time-out each.
_AWAY = (BotoCoreError, redis.ConnectionError, redis.TimeoutError, OSError)
_ERRORS = (*_AWAY, ClientError, redis.RedisError)
Move = Callable[[], Iterator[str | None]]


def collect(clients: Clients, seen: Gathered) -> list[str]:
    """Do it, where a look saw some; what went wrong. Neither broker, queue nor message holds up another."""
    return [
        f"dead letters on {broker} can't be moved into the store: {problem}"
        for broker, moves in (("SQS", _on_sqs(clients, seen)), ("Redis", _on_redis(clients, seen)))
        for problem in _collect(broker, moves)
    ]


def _on_sqs(clients: Clients, seen: Gathered) -> list[Move]:
    env, queues = clients.environment, {q for record in seen.live for q in record.manifest.queues}
    depths = {queue: seen.dead.depths.get(names.dead_letter_queue(env, queue)) for queue in sorted(queues)}
    full = [queue for queue, depth in depths.items() if depth is not None and depth.waiting]
    return [partial(collecting.from_sqs, clients.fallback.sqs, clients.letters, env, queue) for queue in full]


def _on_redis(clients: Clients, seen: Gathered) -> list[Move]:
    full = [queue for queue, count in (seen.parked or {}).items() if count]
    return [partial(collecting.from_redis, clients.primary, clients.letters, queue) for queue in full]


def _collect(broker: str, moves: list[Move]) -> list[str]:
    """A look has ten seconds, and measuring comes first: so many in one look, and no more."""
    problems: list[str] = []
    moved = 0
    for move in moves:
        try:
            for refused in move():
                moved += refused is None
                problems += [refused] if refused else []
        except _ERRORS as error:
            problems.append(str(error))
            if isinstance(error, _AWAY):
                break
        if moved >= collecting.MOST_IN_A_LOOK:
            break
    if moved:
        logger.info("%d dead letters moved from %s into the store", moved, broker)
    return problems
