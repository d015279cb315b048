"""The files, and what renders each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from observe.dashboard import dashboard
from observe.rules import rules

FOLDER = Path(__file__).parent
RULES, DASHBOARD = FOLDER / "rules.json", FOLDER / "dashboard.json"
_OF: dict[Path, Callable[[], dict[str, Any]]] = {RULES: rules, DASHBOARD: dashboard}


def texts() -> dict[Path, str]:
    """What each must say."""
    return {path: json.dumps(render(), indent=2) + "\n" for path, render in _OF.items()}
