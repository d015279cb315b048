"""Which time limits a task has, where its team says one and the fleet's defaults the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Between a soft limit of the team's and the hard one behind it, where that of the fleet would come first.
CLEAN_UP_SECONDS = 30


def effective(given: Sequence[float | None], task: Any, conf: Any) -> tuple[float | None, float | None]:
    """The message's (hard, soft) limits; a default of ours does not undo the other one, which the team says.

    billiard arms the soft limit first, and the hard one when that is over: before a hard limit that is
    shorter, our soft one would keep it from coming, and our hard one would leave no time after a soft limit
    that is longer.
    """
    hard, soft = given
    own_hard, own_soft = hard or _own(task, conf, "time_limit"), soft or _own(task, conf, "soft_time_limit")
    if own_hard and not own_soft and task.soft_time_limit and task.soft_time_limit >= own_hard:
        return hard, own_hard
    if own_soft and not own_hard and task.time_limit and task.time_limit <= own_soft:
        return own_soft + CLEAN_UP_SECONDS, soft
    return hard, soft


def _own(task: Any, conf: Any, limit: str) -> float | None:
    """What the team says: on the task, or in the application's configuration."""
    value, setting = getattr(task, limit), f"task_{limit}"
    said = value != conf[setting] or conf.value_set_for(setting)
    return value if said else None
