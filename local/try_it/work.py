"""What is sent: a few hundred tasks of the drills', through every queue of the local environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from celery import chain

from drills.tasks import faulty
from infra.chosen import LOCAL
from infra.settings import Settings

RUN = "try"
PORTIONS = 40


@dataclass(frozen=True)
class Batch:
    """``send(n)`` starts the n-th piece of work; each is ``tasks`` tasks that have one root."""

    name: str
    pieces: int
    tasks: int
    send: Callable[[int], Any]


@dataclass(frozen=True)
class Piece:
    """One piece of work that was accepted. ``root`` is the id of its first task."""

    root: str
    kind: str
    tasks: int


def kinds(settings: Settings) -> tuple[Batch, ...]:
    """Single tasks on each queue, chains over all of them, one that is retried, and one that fans out."""
    queues = [queue for pool in settings.pools for queue in pool.queues]
    default = settings.default_queue
    return (
        *(Batch(f"on {queue}", 40, 1, partial(_single, queue)) for queue in queues),
        Batch("chain over all queues", 20, len(queues), partial(_chain, queues)),
        Batch("failing at first, then retried", 20, 1, partial(_retried, default)),
        Batch("one task that starts many", 1, 1 + PORTIONS, partial(_spread, default)),
    )


def send_all() -> Iterator[Piece]:
    """Send everything, the kinds mixed as they would be. Raises `taskfleet.errors.PublishError`."""
    sent = kinds(LOCAL)
    for n in range(max(kind.pieces for kind in sent)):
        for kind in sent:
            if n < kind.pieces:
                yield Piece(root=_root(kind.send(n + 1)), kind=kind.name, tasks=kind.tasks)


def _single(queue: str, n: int) -> Any:
    return faulty.record.apply_async((RUN, n, 0.05), queue=queue)


def _chain(queues: Sequence[str], n: int) -> Any:
    return chain(faulty.record.si(RUN, n, 0.05).set(queue=queue) for queue in queues).apply_async()


def _retried(queue: str, n: int) -> Any:
    return faulty.fail.apply_async((RUN, n, 1), queue=queue)


def _spread(queue: str, n: int) -> Any:
    return faulty.spread.apply_async((RUN, PORTIONS, queue), queue=queue)


def _root(result: Any) -> str:
    while result.parent is not None:
        result = result.parent
    return str(result.id)
