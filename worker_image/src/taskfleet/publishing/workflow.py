"""Which workflow a message belongs to: while a release is in its canary, each goes to one release as a whole.

Celery gives all tasks of a workflow the id of its first one (``root_id``), but for a group that nobody's task
publishes: each of its tasks is a root, and so is each of a chord's in it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from kombu.utils.uuid import uuid

_of_group: ContextVar[str | None] = ContextVar("taskfleet_workflow", default=None)


def new_group() -> str:
    """The root of a group that is published here: that of the one that it is part of, or a new one."""
    return _of_group.get() or str(uuid())


@contextlib.contextmanager
def part_of(root: str | None) -> Iterator[None]:
    """What is published in the block belongs to a group's workflow; with None, to one of its own."""
    token = _of_group.set(root)
    try:
        yield
    finally:
        _of_group.reset(token)


def root_of(headers: Mapping[str, Any]) -> str | None:
    """The root of the workflow that a message belongs to; None for a message of no task."""
    root = _of_group.get() or headers.get("root_id") or headers.get("id")
    return root if isinstance(root, str) else None
