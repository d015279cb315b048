"""How many slots a load needs, by Erlang's C formula (independent arrivals, one queue)."""

from __future__ import annotations

from math import exp


def slots_for(*, offered: float, run_seconds: float, target_seconds: float, late: float, most: int) -> int:
    """The fewest slots with which at most the share ``late`` of tasks waits longer than the target.

    ``offered``: arrivals by run time, in slots. ``most`` bounds the search, and the answer.
    """
    slots, blocked = 0, 1.0  # Erlang's B formula, by its recursion
    while slots < most:
        slots += 1
        blocked = offered * blocked / (slots + offered * blocked)
        if slots > offered:
            waits = slots * blocked / (slots - offered * (1 - blocked))
            if waits * exp(-(slots - offered) * target_seconds / run_seconds) <= late:
                break
    return slots
