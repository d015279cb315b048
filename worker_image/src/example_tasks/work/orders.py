"""An order's way through the warehouse: picked, packed, delivered.

Each stage says what it did with the order and its number, so a second run of a stage finds it done.
"""

from __future__ import annotations

STAGES = ("picked", "packed", "delivered")


def advance(order_id: int, history: list[str], stage: str) -> list[str]:
    """The order's history with ``stage`` in it, once. Raises ``ValueError`` if a stage is skipped."""
    if stage not in STAGES:
        raise ValueError(f"order {order_id}: {stage!r} is not a stage: {', '.join(STAGES)}")
    if stage in history:
        return history
    expected = STAGES[len(history)]
    if stage != expected:
        raise ValueError(f"order {order_id} can't be {stage} before it is {expected}")
    return [*history, stage]
