"""The pools and queues that drills use, by what they are for: no drill knows the names of a team's.

They are chosen from the settings of the local environment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.chosen import LOCAL
from infra.settings import Execution, Pool, Settings


@dataclass(frozen=True, kw_only=True)
class Roles:
    """``busy`` are the pools of most loads, prefork before others, and ``queues`` one of each.

    ``confirmed`` and ``plain`` are a queue whose publishes a replica confirms and one whose it does not; None
    where the environment has no such queue.
    """

    busy: tuple[Pool, ...]
    queues: tuple[str, ...]
    confirmed: str | None
    plain: str | None
    owners: tuple[Pool, ...]

    @property
    def pools(self) -> tuple[str, ...]:
        """The names of the busy pools."""
        return tuple(pool.name for pool in self.busy)

    @property
    def leaking(self) -> Pool:
        """The pool whose children `leak` fills."""
        return self.busy[-1]


def choose(settings: Settings) -> Roles:
    """The roles in these settings, the same at each call."""
    confirmed = settings.confirmed_queues
    busy = sorted(settings.pools, key=lambda pool: pool.execution is not Execution.PREFORK)[:2]
    every = [queue for pool in settings.pools for queue in pool.queues]
    last_confirmed = next((queue for queue in reversed(every) if queue in confirmed), None)
    plain = next((queue for queue in every if queue not in confirmed), None)
    return Roles(
        busy=tuple(busy),
        queues=tuple(_first(pool.queues, confirmed) for pool in busy),
        confirmed=last_confirmed,
        plain=plain,
        owners=tuple(pool for pool in settings.pools if {last_confirmed, plain} & set(pool.queues)),
    )


def _first(queues: Sequence[str], confirmed: Sequence[str]) -> str:
    return next((queue for queue in queues if queue in confirmed), queues[0])


ROLES = choose(LOCAL)
