"""Connects to the signals of a process's life; imported with the application where a feature asks for it."""

from __future__ import annotations

import os
from typing import Any

from celery import signals

from tests.compat.app import mark

KEY, OWN_LOGGING = "COMPAT_SIGNALS_KEY", "COMPAT_OWN_LOGGING"
NAMES = (
    "import_modules",
    "celeryd_init",
    "celeryd_after_setup",
    "worker_init",
    "worker_before_create_process",
    "worker_ready",
    "heartbeat_sent",
    "worker_shutting_down",
    "worker_process_init",
    "worker_process_shutdown",
    "worker_shutdown",
    "after_setup_logger",
    "after_setup_task_logger",
    "beat_init",
    "beat_embedded_init",
)


def listen(name: str) -> None:
    """Leave a mark each time that the signal is sent, with the names of what it gives."""

    def heard(**given: Any) -> None:
        given.pop("signal", None)
        mark(f"{os.environ[KEY]}.{name}", sorted(given))

    getattr(signals, name).connect(heard, weak=False)


for each in NAMES:
    listen(each)
if OWN_LOGGING in os.environ:
    listen("setup_logging")
