"""Celery in production on AWS. `PUBLIC` is all that an application's own code needs, and may rely on.

Importing this package imports nothing else: a name is loaded when it is first used, so that
``taskfleet.contract`` stays usable without Celery (the infrastructure code imports it at synth).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskfleet.errors import (
        ChainTooLong,
        ControlError,
        CountdownTooLong,
        DeadLettered,
        InvalidTask,
        MessageTooLarge,
        PartlyPublished,
        PointerUnknown,
        PublishError,
        QueueClosed,
        SettingsError,
        TaskfleetError,
        UnknownQueue,
    )
    from taskfleet.gate_checks import gate
    from taskfleet.idempotency import idempotency_key
    from taskfleet.installing import install
    from taskfleet.publishing.many import publish_many

__all__ = [
    "ChainTooLong",
    "ControlError",
    "CountdownTooLong",
    "DeadLettered",
    "InvalidTask",
    "MessageTooLarge",
    "PartlyPublished",
    "PointerUnknown",
    "PublishError",
    "QueueClosed",
    "SettingsError",
    "TaskfleetError",
    "UnknownQueue",
    "gate",
    "idempotency_key",
    "install",
    "publish_many",
]

# Each module of the public API, and its public names in the order of the documentation (`docs/api.md`).
PUBLIC = {
    "taskfleet.installing": ("install",),
    "taskfleet.publishing.many": ("publish_many",),
    "taskfleet.idempotency": ("idempotency_key",),
    "taskfleet.gate_checks": ("gate",),
    "taskfleet.errors": (
        "TaskfleetError",
        "PublishError",
        "PartlyPublished",
        "UnknownQueue",
        "QueueClosed",
        "PointerUnknown",
        "MessageTooLarge",
        "InvalidTask",
        "ChainTooLong",
        "CountdownTooLong",
        "SettingsError",
        "ControlError",
        "DeadLettered",
    ),
}
_MODULES = {name: module for module, names in PUBLIC.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'taskfleet' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
