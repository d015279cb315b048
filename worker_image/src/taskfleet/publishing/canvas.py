"""Groups, and what is made of them (``chunks``, a chord's header): their messages go out together.

Celery publishes the tasks of a group one after the other, each with a round trip of its own. Here they are
made one after the other, and sent as `taskfleet.publish_many` does it. So a signal ``after_task_publish``
comes when its message is made; an error of a broker comes from the group as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from celery import Celery
from celery.canvas import group

from taskfleet import in_memory
from taskfleet.publishing import batch, workflow
from taskfleet.publishing.batch import Batch, collecting

_stock = group._apply_tasks


def send_groups_together() -> None:
    """Of every application that Taskfleet is installed on. A second call changes nothing."""
    group._apply_tasks = _apply_tasks


# Celery's generator publishes one task in each step, and asks for the next one's signature, which may come
# from code that publishes something else.
def _apply_tasks(
    self: Any,
    tasks: Iterable[Any],
    producer: Any = None,
    app: Celery | None = None,
    *args: Any,
    **options: Any,
) -> Iterator[Any]:
    app = app or self.app
    if getattr(app, "taskfleet", None) is None or in_memory.used(app):
        yield from _stock(self, tasks, producer, app, *args, **options)
        return
    if (others := batch.current(app)) is not None:
        yield from _within(others, _stock(self, tasks, producer, app, *args, **options), workflow.new_group())
        return
    together, root = Batch(app), workflow.new_group()
    stock = _stock(self, _within(None, tasks), producer, app, *args, **options)
    for result in _within(together, stock, root):
        together.send_if_full()
        yield result
    together.finish()


def _within(together: Batch | None, each: Iterable[Any], root: str | None = None) -> Iterator[Any]:
    """The same; what is published while it is read becomes part of ``together``, and of this workflow."""
    items, end = iter(each), object()
    while True:
        with collecting(together), workflow.part_of(root):
            item = next(items, end)
        if item is end:
            return
        yield item
