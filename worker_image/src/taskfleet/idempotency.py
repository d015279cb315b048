"""The key that tells a repeated task from a new one, for work that must take effect once.

Delivery is at least once, so a task may run again. Write its key together with the work, in one transaction,
where a key is taken once: then a second run finds the work done (``example_tasks/work/parcels.py``). A crash
between the two would lose the work if the key came first, and let it be done twice if the key came last.

The key is the task's id.

The same key
    Whatever happens to one message: accepted by both brokers, redelivered, retried (``self.retry``,
    ``autoretry_for``), parked and redriven. A task and what it replaces itself with (``self.replace``). The
    later steps of a chain and the body of a chord, however often the steps before them ran.
Another key
    Each call of ``delay()`` or ``apply_async()``, so a caller that calls again (a user's second click,
    after `taskfleet.errors.PublishError`) passes the same ``task_id=`` both times. What a running task
    publishes itself, at each run: ``task_id=f"{key()}-{n}"`` keeps the n-th child's. Callbacks (``link=``).
    Each firing of beat (all tries of one firing have one).

Keep a key for as long as a duplicate can come: until the task's ``expires``, by default a week. A dead letter
can be redriven for 14 days and then waits on SQS for up to 14 more, so with those it is five weeks.
"""

from __future__ import annotations

from celery import current_task


def key() -> str:
    """The key of the task that is running here. Raises ``RuntimeError`` where there is none.

    There is none outside a task, and in one that was called as a function instead of by a message.
    """
    task_id = current_task.request.id if current_task else None
    if not task_id:
        raise RuntimeError(
            "no message is being worked on here, so there is no key: call it in a task's own run"
        )
    return str(task_id)
