"""Messages to a user."""

from __future__ import annotations


def one_time_code(user_id: int, code: str) -> str:
    """The text that a user gets when they sign in."""
    return f"user {user_id}: your code is {code}"
