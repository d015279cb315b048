"""Bring into the dead-letter store what SQS put aside, and what workers could only keep in Redis."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import redis
from botocore.exceptions import BotoCoreError, ClientError

from taskfleet.contract import names
from taskfleet.contract.messages import REDIS_PARKED
from taskfleet.controller.edges import Edges
from taskfleet.controller.gather import Gathered
from taskfleet.dead_letters import collecting

logger = logging.getLogger(__name__)
_ERRORS = (BotoCoreError, ClientError, redis.RedisError, OSError)


def collect(edges: Edges, seen: Gathered) -> list[str]:
    """Do it, where a look saw some; what went wrong. The first problem ends it until the next look."""
    for what, step in (("SQS", _from_sqs), ("Redis", _from_redis)):
        try:
            moved = step(edges, seen)
        except _ERRORS as error:
            return [f"dead letters on {what} can't be moved into the store: {error}"]
        if moved:
            logger.info("%d dead letters moved from %s into the store", moved, what)
    return []


def _from_sqs(edges: Edges, seen: Gathered) -> int:
    env, queues = edges.environment, {q for record in seen.live for q in record.manifest.queues}
    depths = {queue: seen.dead.depths.get(names.dead_letter_queue(env, queue)) for queue in sorted(queues)}
    full = [queue for queue, depth in depths.items() if depth is not None and depth.waiting]
    return _until_enough(
        [partial(collecting.from_sqs, edges.fallback.sqs, edges.letters, env, queue) for queue in full]
    )


def _from_redis(edges: Edges, seen: Gathered) -> int:
    if not seen.broker_up:
        return 0
    queues = [
        names.versioned_queue(q, record.release) for record in seen.live for q in record.manifest.queues
    ]
    with edges.primary.pipeline(transaction=False) as asked:
        for queue in queues:
            asked.exists(REDIS_PARKED + queue)
        there = asked.execute() if queues else []
    full = [queue for queue, exists in zip(queues, there, strict=True) if exists]
    return _until_enough([partial(collecting.from_redis, edges.primary, edges.letters, q) for q in full])


def _until_enough(steps: list[Callable[[], int]]) -> int:
    """A look has ten seconds, and measuring comes first."""
    moved = 0
    for step in steps:
        moved += step()
        if moved >= collecting.MOST_IN_A_LOOK:
            break
    return moved
