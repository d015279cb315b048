"""A chord's body that one process has claimed, and not published because it was killed.

Celery's Redis backend lets the task that ends last claim the publishing of the body, for some seconds
(celery.backends.redis, ``on_chord_part_return``). Whoever counts a task again while a dead process's claim
lasts finds it taken and leaves it at that, and the body never runs. A task meets another's claim only so,
or when it was delivered twice.
"""

from __future__ import annotations

import time
from typing import Any

from celery.backends.redis import RedisBackend
from redis.exceptions import RedisError

from taskfleet.logs import logger

LOOK_SECONDS = 0.2


def waited_for(backend: Any, group: str | None) -> bool:
    """Wait until nobody claims this chord's body any more; False at once if nobody does."""
    if group is None or not isinstance(backend, RedisBackend):
        return False
    try:
        if not _is_claimed(backend, group):
            return False
        while _is_claimed(backend, group):
            time.sleep(LOOK_SECONDS)
    except RedisError as error:
        logger.warning("whether the body of chord %s was published can't be looked at: %s", group, error)
        return False
    return True


def _is_claimed(backend: Any, group: str) -> bool:
    """A chord that has ended, well or not, has no size any more."""
    keys = (backend.get_key_for_group(group, kind) for kind in (".c", ".s"))
    return bool(backend.client.exists(*keys) == 2)
