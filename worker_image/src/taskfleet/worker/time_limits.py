"""Which time limits a task has, where its team says one and the fleet's defaults the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def effective(given: Sequence[float | None], task: Any, conf: Any) -> tuple[float | None, float | None]:
    """The message's (hard, soft) limits; not our soft one before a task's own hard one that is shorter.

    billiard arms the soft limit first, and the hard one when that is over: the task would run for that long.
    """
    hard, soft = given
    own_hard = hard or (task.time_limit if task.time_limit != conf.task_time_limit else None)
    own_soft = soft or (task.soft_time_limit if task.soft_time_limit != conf.task_soft_time_limit else None)
    default = task.soft_time_limit
    if own_hard and not own_soft and default and default >= own_hard:
        return hard, own_hard
    return hard, soft
