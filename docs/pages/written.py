"""The pages, and what renders each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from docs.pages import alarms, api, compatibility, settings

FOLDER = Path(__file__).parents[1]
PAGES: dict[str, Callable[[], str]] = {
    "alarms.md": alarms.render,
    "api.md": api.render,
    "compatibility-table.md": compatibility.render,
    "settings.md": settings.render,
}
