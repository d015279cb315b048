"""The result of a drill: a table for people, and ``build/drills/<name>.json`` with the same figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from local.places import REPOSITORY

DIRECTORY = REPOSITORY / "build" / "drills"

Figure = float | int | str | None


@dataclass(frozen=True)
class Check:
    """Something that must hold, in words with its numbers."""

    text: str
    holds: bool


@dataclass(frozen=True, kw_only=True)
class Report:
    """``figures`` by plain names: counts, and what ends in ``_seconds``, ``_ratio`` or another unit.

    None is what was not measured, or had not come to its end when the watch did.
    """

    name: str
    checks: Sequence[Check]
    figures: Mapping[str, Figure]

    @property
    def holds(self) -> bool:
        """Whether every check does."""
        return all(check.holds for check in self.checks)

    def table(self) -> str:
        """For people."""
        width = max(map(len, self.figures), default=0)
        figures = [
            f"  {name.replace('_', ' ').ljust(width)}  {_shown(value)}"
            for name, value in self.figures.items()
        ]
        checks = [f"  {'holds' if check.holds else 'FAILS'}  {check.text}" for check in self.checks]
        verdict = "holds" if self.holds else "DOES NOT HOLD"
        return "\n".join([f"{self.name}: {verdict}", *figures, *checks])

    def write(self, directory: Path = DIRECTORY) -> Path:
        """Keep it as JSON; returns where."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.name}.json"
        content = {
            "name": self.name,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "holds": self.holds,
            "checks": [{"text": check.text, "holds": check.holds} for check in self.checks],
            **self.figures,
        }
        path.write_text(json.dumps(content, indent=1) + "\n")
        return path


def _shown(value: Figure) -> str:
    if value is None:
        return "none"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
