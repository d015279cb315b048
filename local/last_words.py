"""What containers wrote before they ended: the first thing to read when a deployment did not come up."""

from __future__ import annotations

from pathlib import Path

from local import container_logs
from local.places import Places

_LINES = 4
_CHARACTERS = 300


def last_words(places: Places) -> str:
    """For each service that was started more than once, the end of its last log; empty if there is none."""
    parts = []
    for directory in sorted(path for path in places.logs.glob("*") if path.is_dir()):
        logs = container_logs.oldest_first(directory)
        if len(logs) > 1 and (end := end_of(logs[-1])):
            parts.append(f"{directory.name} was started {len(logs)} times. The end of {logs[-1]}:\n{end}")
    return "\n\n".join(parts)


def end_of(log: Path) -> str:
    """Its last lines; empty if it is gone."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        return ""
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(f"  {line[:_CHARACTERS]}" for line in lines[-_LINES:])
