"""A chain with too many members is refused where it begins: each of its messages carries all that follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery import current_task

from taskfleet.contract.limits import CHAIN_MAX_MEMBERS
from taskfleet.errors import ChainTooLong

SETTING = "taskfleet_chain_max_members"


def most_members(conf: Mapping[str, Any]) -> int | None:
    """What the application's configuration says, or the fleet's; None: as many as fit into a message."""
    given = conf.get(SETTING, CHAIN_MAX_MEMBERS)
    return None if given is None else int(given)


def check(body: Any, headers: Mapping[str, Any], most: int | None) -> None:
    """Raise `ChainTooLong` at the first task of a chain that has more members; never in the middle of one."""
    members = 1 + _following(body)
    if most is None or members <= most or _continues():
        return
    raise ChainTooLong(
        f"a chain of {members} tasks that begins with {headers.get('task')}: {most} are allowed "
        f"({SETTING}), since each message carries all that follow. Nothing was published. Use @chunked for "
        "many of one kind, or a Pipeline for stages (docs/toolkit.md)"
    )


def _following(body: Any) -> int:
    embedded = body[2] if isinstance(body, list | tuple) and len(body) == 3 else None
    chain = embedded.get("chain") if isinstance(embedded, Mapping) else None
    return len(chain) if isinstance(chain, list | tuple) else 0


def _continues() -> bool:
    """Whether the task that runs here is in a chain itself: what began under another limit must go on."""
    return bool(current_task and current_task.request.chain)
