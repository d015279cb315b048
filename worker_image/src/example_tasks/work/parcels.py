"""Handing a parcel over once, however often the message that asks for it is delivered.

The message's key and the work are written in one transaction, and the database takes a key once. Who comes
second finds the work done; after a crash there is both or neither. PostgreSQL has the same ``ON CONFLICT``,
DynamoDB has ``attribute_not_exists`` in ``TransactWriteItems``.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from taskfleet.contract.container import JOURNAL

FILE = "parcels.sqlite"

_TABLES = (
    "CREATE TABLE IF NOT EXISTS done (key TEXT PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS handed_over (order_id INTEGER NOT NULL)",
)


def connect() -> sqlite3.Connection:
    """The example's database, a file that all workers on this machine share. Close it.

    In AWS it forgets everything when it is closed: there, connect to your own.
    """
    directory = os.environ.get(JOURNAL)
    database = sqlite3.connect(Path(directory, FILE) if directory else ":memory:")
    for table in _TABLES:
        database.execute(table)
    return database


def hand_over(database: sqlite3.Connection, order_id: int, *, key: str) -> bool:
    """Hand the order's parcel over, unless that was done under this key. Returns whether it did."""
    with database:  # one transaction
        new = database.execute("INSERT INTO done VALUES (?) ON CONFLICT DO NOTHING", (key,)).rowcount == 1
        if new:
            database.execute("INSERT INTO handed_over VALUES (?)", (order_id,))
    return new


def handed_over(database: sqlite3.Connection) -> list[int]:
    """The order of every parcel that was handed over, as often as it was."""
    return [order_id for (order_id,) in database.execute("SELECT order_id FROM handed_over ORDER BY rowid")]
