"""Base classes that grew over the years."""

import json
import os
import threading

from celery import Task


def note(**line):
    """Append a line to the audit."""
    with open(os.environ["BACKOFFICE_AUDIT"], "a") as audit:
        audit.write(json.dumps(line) + "\n")


class AuditedTask(Task):
    """Of the whole application (``task_cls``)."""

    abstract = True

    def on_success(self, retval, task_id, args, kwargs):
        note(hook="success", task=self.name, queue=self.request.delivery_info["routing_key"])

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        note(hook="failure", task=self.name, error=type(exc).__name__)

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        note(hook="retry", task=self.name)

    def apply_async(self, args=None, kwargs=None, **options):
        """Hand the caller on to the task."""
        headers = {**(options.pop("headers", None) or {}), "caller": threading.current_thread().name}
        return super().apply_async(args, kwargs, headers=headers, **options)


class DatabaseTask(AuditedTask):
    """Keeps a connection."""

    abstract = True
    _connection = None

    @property
    def connection(self):
        if self._connection is None:
            self._connection = object()
        return self._connection


class PatientTask(AuditedTask):
    """Retries by itself."""

    abstract = True
    autoretry_for = (ConnectionError,)
    retry_kwargs = {"max_retries": 2, "countdown": 0}  # noqa: RUF012 - as people write it
