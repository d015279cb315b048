"""Writes every task that began, succeeded, failed or is retried into the journal, by signals.

So that `make try` and the drills can count by task id, whatever the task.
"""

from __future__ import annotations

from typing import Any

from celery.signals import task_failure, task_prerun, task_retry, task_success
from taskfleet.contract.messages import RELEASE_HEADER

from drills.tasks import journal


def _write(event: str, request: Any, task: Any) -> None:
    delivery = request.delivery_info or {}
    journal.write(
        event,
        task=task.name,
        id=request.id,
        root_id=request.root_id,
        parent_id=request.parent_id,
        queue=delivery.get("routing_key"),
        release=getattr(request, RELEASE_HEADER, None),
        retries=request.retries,
    )


@task_prerun.connect
def _began(task: Any, **_signal: Any) -> None:
    _write("began", task.request, task)


@task_success.connect
def _succeeded(sender: Any, **_signal: Any) -> None:
    _write("succeeded", sender.request, sender)


@task_failure.connect
def _failed(sender: Any, **_signal: Any) -> None:
    _write("failed", sender.request, sender)


@task_retry.connect
def _retried(sender: Any, request: Any, **_signal: Any) -> None:
    _write("retried", request, sender)
