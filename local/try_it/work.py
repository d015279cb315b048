"""What is sent: a few hundred of the example tasks, each kind through its own pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from example_tasks.tasks import accounts, notifications, reports, warehouse

USERS_IN_REPORT = 2000


@dataclass(frozen=True)
class Kind:
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


KINDS = (
    Kind("notification", 100, 1, lambda n: notifications.send_code.delay(n, code=f"{n:06}")),
    Kind("account ETL chain", 40, 3, lambda n: accounts.pipeline(n).delay()),
    Kind("warehouse order", 40, 3, lambda n: warehouse.order(n).delay()),
    Kind(
        "report to all users",
        1,
        1 - (-USERS_IN_REPORT // reports.PORTION),
        lambda n: reports.send_all.delay(USERS_IN_REPORT),
    ),
)


def send_all() -> Iterator[Piece]:
    """Send everything, the kinds mixed as they would be. Raises `taskfleet.errors.PublishError`."""
    for n in range(max(kind.pieces for kind in KINDS)):
        for kind in KINDS:
            if n < kind.pieces:
                yield Piece(root=_root(kind.send(n + 1)), kind=kind.name, tasks=kind.tasks)


def _root(result: Any) -> str:
    while result.parent is not None:
        result = result.parent
    return str(result.id)
