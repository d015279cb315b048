"""What a feature is, which cells there are, and the list of all features."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

BROKERS = ("redis", "sqs")
POOLS = ("prefork", "threads", "gevent")
# The chapters of the user guide, each a module here.
SECTIONS = {
    "tasks": "Tasks",
    "calling": "Calling tasks",
    "canvas": "Canvas",
    "workers": "Workers",
    "periodic": "Periodic tasks",
    "routing": "Routing",
    "signals": "Signals",
    "configuration": "Configuration",
    "monitoring": "Monitoring",
    "security": "Security",
}


@dataclass(frozen=True)
class Cell:
    """Where a feature is tried: ``broker`` of `BROKERS`, ``pool`` of `POOLS`."""

    broker: str
    pool: str

    def __str__(self) -> str:
        return f"{self.broker}/{self.pool}"

    @classmethod
    def of(cls, text: str) -> Cell:
        """From its text. Raises ValueError for one that there is not."""
        for cell in CELLS:
            if str(cell) == text:
                return cell
        raise ValueError(f"{text!r} is no cell: {', '.join(map(str, CELLS))}")


CELLS = tuple(Cell(*pair) for pair in product(BROKERS, POOLS))


@dataclass(frozen=True)
class Feature:
    """One feature of the guide, in the guide's words.

    ``run`` gets a `tests.compat.context.Context` and returns a JSON value; ``expect`` is what it is on stock
    Celery by the guide. ``brokers`` and ``pools`` are those where Celery has it. ``once``: neither broker nor
    pool make a difference, so one cell counts for all. ``alone``: nothing may run beside it.
    Neighbours of one ``group`` that are alike share a row of the table.
    """

    section: str
    key: str
    name: str
    run: Callable[[Any], Any]
    expect: Any
    brokers: tuple[str, ...] = BROKERS
    pools: tuple[str, ...] = POOLS
    once: bool = False
    alone: bool = False
    group: str = ""

    @property
    def id(self) -> str:
        """For people and files."""
        return f"{self.section}.{self.key}"

    def cells(self) -> tuple[Cell, ...]:
        """Where it is tried."""
        found = tuple(cell for cell in CELLS if cell.broker in self.brokers and cell.pool in self.pools)
        return found[:1] if self.once else found


FEATURES: dict[str, Feature] = {}


def feature(name: str, expect: Any, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates the function of a feature; options are fields of `Feature`."""

    def register(run: Callable[..., Any]) -> Callable[..., Any]:
        section = run.__module__.rpartition(".")[2]
        key = re.sub(r"_$", "", run.__name__)
        made = Feature(section, key, name, run, expect, **options)
        if made.id in FEATURES:
            raise ValueError(f"two features are called {made.id}")
        FEATURES[made.id] = made
        return run

    return register


def all_features() -> dict[str, Feature]:
    """Every feature by its id, section by section."""
    for section in SECTIONS:
        importlib.import_module(f"tests.compat.{section}")
    order = list(SECTIONS)
    return dict(sorted(FEATURES.items(), key=lambda item: order.index(item[1].section)))
