"""An order's way through the warehouse: picked, packed, delivered.

The history travels in the messages, from stage to stage, so it can't tell that a message came twice: what
must happen once needs a record elsewhere, as the hand-over has (`example_tasks.work.parcels`).
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
