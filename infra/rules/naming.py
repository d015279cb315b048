"""Names of pools and queues, and who consumes what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from taskfleet.contract import names

from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings

_OWN_SERVICES = (names.CONTROLLER_SERVICE, names.BEAT_SERVICE)


def _valid_names(settings: Settings) -> Iterator[Problem]:
    given = [("name", "environment", settings.name)]
    for pool in settings.pools:
        given.append((f"pool {pool.name}: name", "pool", pool.name))
        given.extend((f"pool {pool.name}: queues", "queue", queue) for queue in pool.queues)
    for setting, kind, name in given:
        try:
            names.check(kind, name)
        except names.InvalidName as error:
            rule = str(error).partition(": it ")[2]
            yield Problem(
                setting=setting,
                value=name,
                rule=f"the name of {'an' if kind[0] in 'aeiou' else 'a'} {kind} {rule}",
                fix="choose another name",
            )


def _pool_names(settings: Settings) -> Iterator[Problem]:
    if not settings.pools:
        yield Problem(
            setting="pools",
            value=settings.pools,
            rule="an environment needs at least one pool",
            fix="add a Pool",
        )
    for name, count in Counter(pool.name for pool in settings.pools).items():
        if count > 1:
            yield Problem(
                setting="pools",
                value=name,
                rule=f"a pool's name is its own, and {count} have this one",
                fix="rename all but one",
            )
        if name in _OWN_SERVICES:
            yield Problem(
                setting="pools",
                value=name,
                rule="the fleet has a service of this name itself",
                fix="rename the pool",
            )


def _queue_owners(settings: Settings) -> Iterator[Problem]:
    owned = Counter(queue for pool in settings.pools for queue in pool.queues)
    for queue, count in owned.items():
        if count > 1:
            owners = ", ".join(pool.name for pool in settings.pools if queue in pool.queues)
            yield Problem(
                setting="pools: queues",
                value=queue,
                rule=f"a queue is owned by exactly one pool, and {owners} own this one",
                fix="leave it with one pool, and let the others help with it (helps=…)",
            )
    for pool in settings.pools:
        if not pool.queues:
            yield Problem(
                setting=f"pool {pool.name}: queues",
                value=pool.queues,
                rule="a pool owns at least one queue",
                fix="give it one, or drop the pool",
            )


def _helped_queues(settings: Settings) -> Iterator[Problem]:
    owned = {queue for pool in settings.pools for queue in pool.queues}
    for pool in settings.pools:
        for queue in pool.helps:
            if queue in pool.queues:
                rule, fix = (
                    "a pool helps with other pools' queues, and this one is its own",
                    "drop it from helps",
                )
            elif queue not in owned:
                rule, fix = "no pool owns this queue", f"one of {', '.join(sorted(owned))}"
            else:
                continue
            yield Problem(setting=f"pool {pool.name}: helps", value=queue, rule=rule, fix=fix)


def _no_mutual_help(settings: Settings) -> Iterator[Problem]:
    """``low`` may help ``high``, never the reverse: then low work would hold up urgent work again."""
    owner = {queue: pool.name for pool in settings.pools for queue in pool.queues}
    helped = {
        pool.name: {owner[queue] for queue in pool.helps if queue in owner} - {pool.name}
        for pool in settings.pools
    }
    for pool in settings.pools:
        if pool.name in _reachable(helped, pool.name):
            yield Problem(
                setting=f"pool {pool.name}: helps",
                value=pool.helps,
                rule="pools must not help each other, nor in a circle: low work would hold up urgent work",
                fix="let only the less urgent pool help",
            )


def _reachable(edges: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    ahead = set(edges[start])
    while ahead:
        pool = ahead.pop()
        seen.add(pool)
        ahead |= edges[pool] - seen
    return seen


def _default_queue(settings: Settings) -> Iterator[Problem]:
    owned = sorted(queue for pool in settings.pools for queue in pool.queues)
    if settings.default_queue not in owned:
        yield Problem(
            setting="default_queue",
            value=settings.default_queue,
            rule="tasks that name no queue go there, so that a pool must own it",
            fix=f"one of {', '.join(owned)}",
        )


RULES = (_valid_names, _pool_names, _queue_owners, _helped_queues, _no_mutual_help, _default_queue)
