"""What can't be right in an environment's settings, each with its own error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.settings import Settings


def check(settings: Settings) -> None:
    """Raise ``SettingsError`` naming every bad value, its rule and the fix."""
