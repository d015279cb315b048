"""Messages of one task, made one after the other: what Celery works out for the first holds for the next.

Of a publish's time, Celery takes two thirds to look up configuration, route and defaults, which are the same
for a task and its options. Here they are taken from the latest message that Celery made; what is a message's
own (id, arguments, how those are shown) is as Celery's `celery.app.amqp.AMQP.as_task_v2` makes it. Where any
code of the application's could see or change it, Celery makes each message.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from types import FunctionType
from typing import Any, NamedTuple

import celery
from celery import Celery, signals
from celery.app.amqp import AMQP
from celery.app.routes import MapRoute, Router
from celery.app.task import Task
from celery.canvas import Signature
from celery.utils.saferepr import saferepr
from kombu.utils.uuid import uuid

from taskfleet.publishing.outgoing import Outgoing
from taskfleet.worker.task import FleetBehaviour

# Times that a message says (when it expires), configuration and routes are no older.
FRESH_SECONDS = 1.0
_CELERY = Path(celery.__file__).parent
_OPTIONS = frozenset(("queue", "priority", "ignore_result", "time_limit", "soft_time_limit"))
_SIGNALS = (signals.before_task_publish, signals.after_task_publish, signals.task_sent)


class _Made(NamedTuple):
    task: Any
    options: Mapping[str, Any]
    message: Outgoing
    until: float


class Repeated:
    """Publishes signatures of ``app``, and keeps what Celery worked out for the latest."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._made: _Made | None = None

    def publish(self, signature: Signature) -> bool:
        """Publish it as the latest one was; False if it is another, and nothing was done."""
        made = self._made
        if made is None or monotonic() >= made.until or not _is_alike(signature, made):
            self._made = None
            return False
        args, kwargs = signature.args or (), signature.kwargs or {}
        if not isinstance(args, list | tuple) or not isinstance(kwargs, Mapping):
            return False
        if made.task.typing and hasattr(made.task, "__header__"):
            made.task.__header__(*args, **kwargs)
        task_id, latest, conf = uuid(), made.message, self._app.conf
        most = {"maxlevels": conf.task_repr_maxlevels}
        own = {
            "id": task_id,
            "argsrepr": saferepr(args, self._app.amqp.argsrepr_maxsize, **most),
            "kwargsrepr": saferepr(kwargs, self._app.amqp.kwargsrepr_maxsize, **most),
        }
        headers = latest.options["headers"]
        if headers["root_id"] == headers["id"]:
            own["root_id"] = task_id
        options = {**latest.options, "headers": {**headers, **own}, "correlation_id": task_id}
        self._app.taskfleet.producer.publish(
            (args, kwargs, latest.body[2]), routing_key=latest.asked, **options
        )
        return True

    def note(self, signature: Signature, message: Outgoing) -> None:
        """What Celery made of it."""
        if _is_plain(signature, self._app) and set(signature.options) <= _OPTIONS:
            until = monotonic() + FRESH_SECONDS
            self._made = _Made(signature.type, dict(signature.options), message, until)


def _is_alike(signature: Signature, made: _Made) -> bool:
    return (
        type(signature) is Signature
        and signature.get("task") == made.task.name
        and signature.options == made.options
        and not any(signal.receivers for signal in _SIGNALS)
    )


def _way() -> tuple[Any, ...]:
    """What a signature passes on its way to the producer."""
    return (
        Signature.apply_async,
        Task.apply_async,
        Celery.send_task,
        AMQP.as_task_v2,
        AMQP._create_task_sender,
        Router.route,
    )


def _is_celerys_own(function: Any) -> bool:
    """Whether no instrumentation has put something around it (Sentry, Datadog and others do)."""
    return type(function) is FunctionType and Path(function.__code__.co_filename).is_relative_to(_CELERY)


def _is_plain(signature: Signature, app: Celery) -> bool:
    """Whether only Celery and Taskfleet have a part in what becomes of it."""
    if type(signature) is not Signature or signature.get("task") not in app.tasks:
        return False
    task, amqp = signature.type, app.amqp
    return (
        type(task).apply_async is FleetBehaviour.apply_async
        and "apply_async" not in vars(task)
        and super(FleetBehaviour, task).apply_async.__func__ is Task.apply_async
        and type(task).shadow_name is Task.shadow_name
        and all(_is_celerys_own(function) for function in _way())
        and task._dump_pydantic_arguments is None
        and task.app is app
        and type(app).send_task is Celery.send_task
        and "send_task" not in vars(app)
        and type(amqp) is AMQP
        and type(amqp.router) is Router
        and all(type(route) is MapRoute for route in amqp.router.routes)
        and app.conf.task_protocol == 2
        and not app.conf.task_always_eager
        and not app.conf.task_send_sent_event
    )
