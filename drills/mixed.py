"""Work that starts work, as applications have it beside single tasks: workers publish the rest of it.

Each kind is given a number for everything that is to be executed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from celery import chain

from drills.tasks import faulty


@dataclass(frozen=True)
class Workflow:
    """``signature`` of a run's name, as many ``numbers`` as it takes, and a queue for all of it."""

    numbers: int
    signature: Callable[[str, Sequence[int], str], Any]


def _chain(run: str, numbers: Sequence[int], queue: str) -> Any:
    return chain(faulty.record.si(run, n).set(queue=queue) for n in numbers)


def _children(run: str, numbers: Sequence[int], queue: str) -> Any:
    return faulty.spread.si(run, list(numbers), queue).set(queue=queue)


def _retried(run: str, numbers: Sequence[int], queue: str) -> Any:
    return faulty.fail.si(run, numbers[0], 1).set(queue=queue)


WORKFLOWS = (Workflow(3, _chain), Workflow(3, _children), Workflow(1, _retried))
