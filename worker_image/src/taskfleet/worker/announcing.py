"""Celery's signals where the fleet does itself what Celery sends them for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery import signals
from celery.exceptions import InvalidTaskError, NotRegistered
from kombu.message import Message

from taskfleet.dead_letters.dead_letter import DeadLetterKind, Finding


def not_run(consumer: Any, message: Message, finding: Finding) -> None:
    """``task_unknown`` or ``task_rejected``: a message is put aside."""
    if finding.kind is DeadLetterKind.UNREADABLE:
        return  # nor does Celery
    headers = message.headers if isinstance(message.headers, Mapping) else {}
    name, task_id = headers.get("task"), headers.get("id")
    if finding.kind is DeadLetterKind.UNKNOWN_TASK:
        error = NotRegistered(name)
        signals.task_unknown.send(sender=consumer, message=message, exc=error, name=name, id=task_id)
    else:
        cause = None if finding.kind is DeadLetterKind.NO_TASK else InvalidTaskError(finding.reason)
        signals.task_rejected.send(sender=consumer, message=message, exc=cause)


def alive(consumer: Any) -> None:
    """``heartbeat_sent``: the main loop turns. (The heartbeat itself would wait for a broker without end.)"""
    signals.heartbeat_sent.send(sender=consumer)
