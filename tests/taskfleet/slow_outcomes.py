"""`behalf_tasks`, in a worker that takes its time to open the result backend where it records outcomes."""

from __future__ import annotations

import threading
import time
from typing import Any

from celery.backends.redis import RedisBackend

from tests.taskfleet.behalf_tasks import app

__all__ = ["app"]

_create = RedisBackend._create_client


def _create_slowly(backend: RedisBackend, **params: Any) -> Any:
    if threading.current_thread().name == "taskfleet-outcomes":
        time.sleep(3)
    return _create(backend, **params)


RedisBackend._create_client = _create_slowly
