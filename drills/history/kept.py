"""What a failing seed leaves behind: its history, and what every process logged meanwhile."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from drills.history.record import History
from drills.report import DIRECTORY


def keep(
    history: History, found: Sequence[str], logs: Mapping[str, bytes], directory: Path = DIRECTORY
) -> Path:
    """Write it below ``directory``, over what an earlier run of the seed left there; where."""
    place = directory / "history" / f"seed-{history.seed}"
    place.mkdir(parents=True, exist_ok=True)
    content = {"found": list(found), **asdict(history)}
    (place / "history.json").write_text(json.dumps(content, indent=1) + "\n")
    for name, log in logs.items():
        (place / f"{name}.log").write_bytes(log)
    return place
