"""Chance: a fault at a fixed beat may always miss the same window."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def near(seconds: float, within: float) -> float:
    """A moment at most ``within`` seconds before or after."""
    return random.uniform(seconds - within, seconds + within)  # noqa: S311 - no secret


def one_in_each(spans: int, *, apart: float, first: float, share: float = 1.0) -> list[float]:
    """A moment in each of so many spans of ``apart`` seconds, in its first ``share``; from ``first`` on."""
    return [first + (span + random.uniform(0, share)) * apart for span in range(spans)]  # noqa: S311


def one_of(items: Sequence[Item]) -> Item:
    """One of them. Raises ``IndexError`` if there is none."""
    return random.choice(items)  # noqa: S311
