"""Logs as JSON lines: one object a line, the same keys everywhere, ready for CloudWatch Logs Insights."""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from functools import partial
from typing import Any

from celery import Celery, current_task
from celery.app.log import Logging
from kombu.utils.encoding import safe_repr

from taskfleet import json_line
from taskfleet.contract import names

logger = logging.getLogger("taskfleet")

# At INFO these would log every request that the fleet makes for itself.
_NOISY = ("botocore", "boto3", "urllib3", "kombu.pidbox")
_CELERYS = "celery.app.log:Logging"


class JsonFormatter(logging.Formatter):
    """``time, level, logger, message``, what is ``fixed`` for the process, and the task if there is one."""

    def __init__(self, **fixed: str) -> None:
        super().__init__()
        self._fixed = fixed

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON, without line breaks, whatever the record holds."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            **self._fixed,
            **_task(record),
        }
        fields = getattr(record, "fields", {})
        # What the line says of itself stays.
        line = {**line, **fields, **line} if isinstance(fields, dict) else {**line, "fields": fields}
        if record.exc_info or record.exc_text:
            line["exception"] = _exception(record)
        if record.stack_info:
            line["stack"] = record.stack_info
        return json_line.dumps(line)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - arguments that don't fit, or whose text raises
        return f"{safe_repr(record.msg)} % {safe_repr(record.args)} ({type(error).__name__})"


def _exception(record: logging.LogRecord) -> str:
    if not isinstance(record.exc_info, tuple):
        return str(record.exc_text or record.exc_info)
    try:
        return "".join(traceback.format_exception(*record.exc_info))
    except Exception as error:  # noqa: BLE001 - whatever somebody's exception does when it is looked at
        return f"{record.exc_info[0]!r} that can't be shown: {type(error).__name__}"


def _task(record: logging.LogRecord) -> dict[str, Any]:
    """The task that is running here, or the one that Celery's main process reports on."""
    request = getattr(current_task, "request", None) if current_task else None
    if request is not None and request.id:
        routing_key = (request.delivery_info or {}).get("routing_key") or ""
        parts = names.split_versioned_queue(routing_key) if isinstance(routing_key, str) else None
        return {"task": current_task.name, "task_id": request.id, "queue": parts[0] if parts else routing_key}
    reported = getattr(record, "data", None)
    if isinstance(reported, dict) and "id" in reported and "name" in reported:
        return {"task": reported["name"], "task_id": reported["id"]}
    return {}


def handler(**fixed: str) -> logging.Handler:
    """To standard output, as JSON lines."""
    made = logging.StreamHandler(sys.__stdout__)
    made.setFormatter(JsonFormatter(**fixed))
    return made


def configure(*, level: str, **fixed: str) -> None:
    """Send everything to standard output as JSON lines; replaces what was configured."""
    root = logging.getLogger()
    root.handlers[:] = [handler(**fixed)]
    root.setLevel(level)
    _quieten()


def _quieten() -> None:
    for noisy in map(logging.getLogger, _NOISY):
        if noisy.level == logging.NOTSET:  # the application may have said another
            noisy.setLevel(max(logging.WARNING, logging.getLogger().level))


class FleetLogging(Logging):  # type: ignore[misc]
    """Celery's set-up, with its signals, and JSON lines on standard output where it makes the handlers.

    So an application's own `setup_logging` receiver takes its place, receivers of `after_setup_logger` and
    `after_setup_task_logger` may change it, and a format that the application sets is used.
    """

    def __init__(self, app: Celery, *, fixed: dict[str, str]) -> None:
        self._fixed = fixed
        super().__init__(app)

    def setup_logging_subsystem(self, *args: Any, **kwargs: Any) -> Any:
        """As Celery's."""
        receivers = super().setup_logging_subsystem(*args, **kwargs)
        if receivers is not None and not receivers:
            _quieten()
        return receivers

    def setup_handlers(self, logger: logging.Logger, *args: Any, **kwargs: Any) -> logging.Logger:
        """As Celery's."""
        task = logger.name == "celery.task"
        if self.app.conf.value_set_for("worker_task_log_format" if task else "worker_log_format"):
            made: logging.Logger = super().setup_handlers(logger, *args, **kwargs)
            return made
        if not self._is_configured(logger):
            logger.addHandler(handler(**self._fixed))
        return logger


def on_setup(app: Celery, **fixed: str) -> None:
    """Have Celery log as `FleetLogging` says, unless ``app`` has a class of its own for it."""
    if app.log_cls == _CELERYS:
        app.log_cls = partial(FleetLogging, fixed=fixed)
        app.__dict__.pop("log", None)
