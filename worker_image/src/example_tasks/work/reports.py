"""Reports to users, in portions."""

from __future__ import annotations

from collections.abc import Iterator


def portions(users: int, size: int) -> Iterator[tuple[int, int]]:
    """``(first, last)`` user ids of each portion, 1 to ``users``; ids, because a message must stay small."""
    if size < 1:
        raise ValueError(f"a portion of {size} users makes no progress: at least 1")
    for first in range(1, users + 1, size):
        yield first, min(first + size - 1, users)


def text(user_id: int) -> str:
    """One user's report."""
    return f"user {user_id}: all is well"
