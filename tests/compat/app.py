"""The application of all features: the same lines for stock and for the fleet, but for ``install(app)``.

What it is depends on its environment: see `tests.compat.sides`.
"""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

from celery import Celery

SIDE, CONFIGURATION = "COMPAT_SIDE", "COMPAT_CONFIGURATION"
STOCK_BROKER, RESULTS, MARKS = "COMPAT_STOCK_BROKER", "COMPAT_RESULTS", "COMPAT_MARKS"
MODULES = "COMPAT_MODULES"
STOCK, FLEET = "stock", "fleet"


def marks_of(key: str) -> Path:
    """The file where tasks leave their marks under ``key``."""
    return Path(os.environ[MARKS]) / key


def mark(key: str, text: object = "ran") -> None:
    """Leave a line for the feature that looks at ``key``."""
    handle = os.open(marks_of(key), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, f"{text}\n".encode())
    finally:
        os.close(handle)


def configure(app: Celery, configuration: dict[str, Any]) -> Celery:
    """What a team's application says, and the one line more on the fleet."""
    app.conf.update(result_backend=os.environ.get(RESULTS), broker_connection_retry_on_startup=True)
    if os.environ.get(SIDE) == STOCK:
        broker = json.loads(os.environ[STOCK_BROKER])
        app.conf.update(broker_url=broker["url"], broker_transport_options=broker["options"])
    app.conf.update(configuration)
    if os.environ.get(SIDE) == FLEET:
        from taskfleet import install

        install(app)
    return app


_CHAPTERS = ("tasks", "calling", "canvas", "workers", "periodic", "routing", "signals", "configuration")
INCLUDE = [f"tests.compat.{name}" for name in _CHAPTERS]

# Alone in its process, but where the list of features is read.
_alone = SIDE in os.environ
app = configure(
    Celery("compat", include=INCLUDE, set_as_current=_alone), json.loads(os.environ.get(CONFIGURATION, "{}"))
)
if _alone:
    app.set_default()  # in every thread
for _module in filter(None, os.environ.get(MODULES, "").split(",")):
    importlib.import_module(_module)
