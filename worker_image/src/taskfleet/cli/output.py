"""Plain text for a terminal: tables, ages, and a question mark for what is not known."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from taskfleet.controller.fleet_snapshot import RunsSnapshot

UNKNOWN = "?"
# Texts of tasks and producers are in what is shown: a terminal would obey these, or end the command.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def number(value: float | None) -> str:
    """A figure, or `UNKNOWN`."""
    return UNKNOWN if value is None else f"{value:g}"


def duration(seconds: float | None) -> str:
    """``42 s``, ``3 min``, ``2 h 10 min``: the two largest units above a minute."""
    if seconds is None:
        return UNKNOWN
    left = max(0, round(seconds))
    parts = []
    for size, unit in _UNITS:
        if left >= size:
            parts.append(f"{left // size} {unit}")
            left %= size
    significant = parts[:1] if len(parts) == 2 and parts[-1].endswith(" s") else parts[:2]
    return " ".join(significant) or "0 s"


def seconds(value: float | None) -> str:
    """Of less than a minute to two figures, of more in whole units."""
    if value is None or value >= 60:
        return duration(value)
    return f"{value:.2g} s"


def waited(runs: RunsSnapshot | None) -> str:
    """What 19 of 20 tasks have waited at most in the last five minutes; ``-`` if none has ended."""
    if runs is None:
        return UNKNOWN
    if runs.wait_p95_seconds is None:
        return "-" if runs.ended == 0 else UNKNOWN
    return seconds(runs.wait_p95_seconds)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, indent: str = "  ") -> list[str]:
    """Lines with aligned columns; figures to the right."""
    everything = [list(head), *[list(row) for row in rows]]
    widths = [max(len(row[column]) for row in everything) for column in range(len(head))]
    lines = []
    for row in everything:
        cells = [
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def show(lines: Sequence[str]) -> None:
    """Print lines."""
    for line in lines:
        click.echo(line.translate(_CONTROLS).encode(errors="backslashreplace"))


def show_json(value: object) -> None:
    """Print for scripts; None is null, and means "not known"."""
    click.echo(json.dumps(value, indent=2))
