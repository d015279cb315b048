"""Account statistics, in three steps; each step finds its input by the account's id."""

from __future__ import annotations

import hashlib


def extract(account_id: int) -> list[int]:
    """The account's amounts of the day, in cents."""
    digest = hashlib.sha256(str(account_id).encode()).digest()
    return [byte * 100 for byte in digest[:8]]


def transform(amounts: list[int]) -> dict[str, int]:
    """What is kept of them."""
    return {"count": len(amounts), "total": sum(amounts), "largest": max(amounts, default=0)}


def load(account_id: int, summary: dict[str, int]) -> str:
    """Store the summary under the account's id: a second run writes the same again."""
    return f"account {account_id}: {summary['count']} amounts, {summary['total']} cents"
