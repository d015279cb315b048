"""Celery in production on AWS: what runs in the worker image, and what producers import.

Importing this package imports nothing else, so that ``taskfleet.contract`` stays usable without
Celery (the infrastructure code imports it at synth).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskfleet.install import install

__all__ = ["install"]


def __getattr__(name: str) -> Any:
    if name == "install":
        from taskfleet.install import install

        return install
    raise AttributeError(f"module 'taskfleet' has no attribute {name!r}")
