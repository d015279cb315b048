"""The key that tells a repeated task from a new one, for work that must take effect once."""

from __future__ import annotations

from celery import current_task


def idempotency_key() -> str:
    """The key of the task that is running, for work that must take effect once: the task's id.

    Delivery is at least once, so a task may run again. Write its key together with the work, in one
    transaction, where a key can be written once only: a second run then finds the work done
    (``example_tasks/work/parcels.py``). A crash between the two would lose the work if the key came first,
    and let it be done twice if the key came last.

    The key stays the same:

    - whatever happens to one message: accepted by both brokers, redelivered, retried (``self.retry``,
      ``autoretry_for``), parked and redriven;
    - for a task and what it replaces itself with (``self.replace``);
    - for the later steps of a chain and the body of a chord, however often the steps before them ran.

    There is another key:

    - for each call of ``delay()`` or ``apply_async()``: a caller that calls again (a user's second click,
      after `taskfleet.errors.PublishError`) passes the same ``task_id=`` both times;
    - for what a running task publishes, at each run: ``task_id=f"{idempotency_key()}-{n}"`` keeps the n-th
      child's;
    - for callbacks (``link=``), and for each time that beat sends an entry (all tries of one have one).

    Keep a key for as long as a duplicate can come: until the task's ``expires``, by default a week. A dead
    letter can be redriven for 14 days and then waits on SQS for up to 14 more: with those, five weeks.

    Raises ``RuntimeError`` outside a task, and in one that was called as a function instead of by a message.
    """
    task_id = current_task.request.id if current_task else None
    if not task_id:
        raise RuntimeError("idempotency_key() was called outside a task that a message started")
    return str(task_id)
