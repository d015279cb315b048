"""What can't be right in an environment's settings, each with its own error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.settings import Settings


def check(settings: Settings) -> None:
    """Raise ``SettingsError`` naming every bad value, its rule and the fix."""


def placeholder_account(settings: Settings, placeholder: str) -> str | None:
    """Why this environment can't be deployed, or None."""
    if settings.account != placeholder or settings.on_this_machine:
        return None
    return (
        f"the environment {settings.name!r} has the placeholder account {placeholder}: "
        "put your own 12-digit AWS account id into infra/environments.py"
    )
