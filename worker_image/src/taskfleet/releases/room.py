"""Whether there is room for a release beside those that have workers. Pure; preflight asks, too."""

from __future__ import annotations

from collections.abc import Iterable

from taskfleet.releases.model import Record, State


def make_room(others: Iterable[Record]) -> str | None:
    """The command that makes some: it retires the one that drained first. None: one must drain before."""
    others = list(others)
    needed = {one.goes_back_to for one in others}
    drained = sorted(
        (one for one in others if one.state is State.DRAINED and one.release not in needed),
        key=lambda one: one.since,
    )
    return f"fleet release retire {drained[0].release} --yes" if drained else None


def no_room(others: Iterable[Record], most: int) -> str | None:
    """Why a release is refused beside ``others``, which have workers; None if it is not."""
    others = sorted(others, key=lambda one: one.release)
    if len(others) < most:
        return None
    names = ", ".join(one.release for one in others)
    return f"{len(others)} releases have workers already ({names}), and max_live_releases is {most}"
