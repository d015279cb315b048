"""From a program that fails to the shortest prefix of it that still does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drills.history.program import Step

Fails = Callable[[Sequence[Step]], bool]


def shortest_prefix(steps: Sequence[Step], fails: Fails) -> Sequence[Step] | None:
    """The shortest prefix that fails, by bisection; None if not even the whole program fails again.

    A program whose prefixes fail only sometimes gives one that did fail, and not always the shortest.
    """
    if not fails(steps):
        return None
    holds, failing = 0, len(steps)
    while failing - holds > 1:
        middle = (holds + failing) // 2
        if fails(steps[:middle]):
            failing = middle
        else:
            holds = middle
    return steps[:failing]
