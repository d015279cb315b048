"""`make picture`: the dashboard's first screen, drawn from what the Prometheus of `make observe` has seen.

Grafana draws it nicer; where there is none, this shows the same queries, one line for each series.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from local import observer
from local.account import ENVIRONMENT
from local.places import Places
from observe.dashboard import ROWS, Panel

FIRST_SCREEN = 3
POINTS = 180
_WIDTH, _ROW, _HEAD, _TITLE, _LEGEND_LINES = 1280, 250, 24, 34, 5
_LEFT, _RIGHT, _TOP, _LINE = 44, 12, 30, 12
_COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#17becf", "#7f7f7f")

Range = Callable[[str], list[dict[str, Any]]]


@dataclass(frozen=True)
class Series:
    """``points`` are pairs of seconds since the epoch and a value."""

    name: str
    points: Sequence[tuple[float, float]]


def main() -> int:
    """0, or 2 where no Prometheus runs here."""
    parser = argparse.ArgumentParser(prog="python -m observe.picture", description=__doc__)
    parser.add_argument("file", type=Path, help="the SVG to write")
    parser.add_argument("--minutes", type=float, default=10, help="until now (default: 10)")
    given = parser.parse_args()
    address = observer.address(Places.from_environment())
    if address is None:
        print("Prometheus does not run: make observe, in another terminal", file=sys.stderr)
        return 2
    until = time.time()
    since = until - given.minutes * 60

    def ask(query: str) -> list[dict[str, Any]]:
        return query_range(address, query, since, until)

    given.file.write_text(svg(ask, since, until))
    print(f"drawn: {given.file}")
    return 0


def query_range(address: str, query: str, since: float, until: float) -> list[dict[str, Any]]:
    """The series of a query. ``OSError`` if Prometheus does not answer."""
    values = {"query": query, "start": since, "end": until, "step": (until - since) / POINTS}
    url = f"{address}/api/v1/query_range?{urllib.parse.urlencode(values)}"
    with urllib.request.urlopen(url, timeout=30) as reply:  # noqa: S310 - loopback
        found: list[dict[str, Any]] = json.load(reply)["data"]["result"]
    return found


def svg(ask: Range, since: float, until: float) -> str:
    """The rows of the first screen."""
    rows = ROWS[:FIRST_SCREEN]
    height = _TITLE + len(rows) * (_HEAD + _ROW)
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(until))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="10">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="12" y="22" font-size="15" font-weight="bold">Taskfleet: {ENVIRONMENT}</text>',
        f'<text x="{_WIDTH - 12}" y="22" text-anchor="end">the {(until - since) / 60:.0f} minutes to {when}'
        "</text>",
    ]
    y = _TITLE
    for row in rows:
        parts.append(
            f'<text x="12" y="{y + 17}" font-size="13" font-weight="bold">{escape(row.question)}</text>'
        )
        width = _WIDTH / len(row.panels)
        for number, panel in enumerate(row.panels):
            found = list(series(panel, ask))
            parts.append(f'<g transform="translate({number * width:.0f},{y + _HEAD})">')
            parts += [*_panel(panel, found, since, until, width), "</g>"]
        y += _HEAD + _ROW
    return "\n".join([*parts, "</svg>", ""])


def series(panel: Panel, ask: Range) -> Iterator[Series]:
    """What each of the panel's queries found. Values that are no numbers are left out."""
    for line in panel.lines:
        for found in ask(line.query.replace("$environment", ENVIRONMENT)):
            points = [(float(at), float(value)) for at, value in found["values"]]
            name = line.legend
            for label, value in found["metric"].items():
                name = name.replace("{{" + label + "}}", value)
            yield Series(name, [(at, value) for at, value in points if math.isfinite(value)])


def _panel(panel: Panel, found: Sequence[Series], since: float, until: float, width: float) -> Iterator[str]:
    right, bottom = width - _LEFT - _RIGHT, _ROW - _TOP - 20 - _LEGEND_LINES * _LINE
    values = [value for one in found for _, value in one.points]
    low, high = min(0.0, *values, 0.0), max(values, default=0.0) or 1.0
    yield f'<text x="8" y="{_TOP - 10}" font-size="9.5" font-weight="bold">{escape(panel.title)}</text>'
    yield f'<path d="M{_LEFT},{_TOP} v{bottom} h{right:.0f}" fill="none" stroke="#444"/>'
    for value in (low, high):
        y = _TOP + bottom * (high - value) / (high - low)
        yield f'<text x="{_LEFT - 4}" y="{y + 4:.0f}" text-anchor="end">{shown(value, panel.unit)}</text>'
    if not values:
        yield f'<text x="{_LEFT + 8}" y="{_TOP + bottom / 2:.0f}" fill="#777">no data</text>'
    for number, one in enumerate(found):
        color = _COLORS[number % len(_COLORS)]
        at = " ".join(
            f"{_LEFT + right * (when - since) / (until - since):.1f},"
            f"{_TOP + bottom * (high - value) / (high - low):.1f}"
            for when, value in one.points
        )
        yield f'<polyline points="{at}" fill="none" stroke="{color}" stroke-width="1.5"/>'
    yield from _legend(found, _TOP + bottom + 20)


def _legend(found: Sequence[Series], y: float) -> Iterator[str]:
    """As many names as there is room for."""
    room = _LEGEND_LINES if len(found) <= _LEGEND_LINES else _LEGEND_LINES - 1
    for number, one in enumerate(found[:room]):
        yield (
            f'<text x="{_LEFT}" y="{y + number * _LINE}" fill="{_COLORS[number]}">{escape(one.name)}</text>'
        )
    if len(found) > room:
        yield f'<text x="{_LEFT}" y="{y + room * _LINE}">and {len(found) - room} more</text>'


def shown(value: float, unit: str) -> str:
    """As short as an axis needs it."""
    if unit == "percentunit":
        return f"{value:.0%}"
    if unit == "s":
        return f"{value:.3g} s" if value >= 1 or value == 0 else f"{value * 1000:.3g} ms"
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.2g}"


if __name__ == "__main__":
    sys.exit(main())
