"""Cost against lateness, a small picture for each scenario, as one SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

from benchmarks.autoscale.compare import OURS, Row

_WIDTH, _HEIGHT, _COLUMNS, _LEFT, _TOP = 240, 170, 4, 34, 26
_COLORS = {
    "CDK": "#b07a00",
    "AWS": "#7b4fa3",
    "KEDA": "#1f77b4",
    "Judoscale": "#5a8f29",
    "Laravel": "#8a8a8a",
}


def svg(rows: Mapping[str, Mapping[str, Row]]) -> str:
    """Worker-hours by the least of the scenario to the right, the share that is late upwards."""
    lines = math.ceil(len(rows) / _COLUMNS)
    width, height = _COLUMNS * _WIDTH, lines * _HEIGHT + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="10">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for number, (scenario, policies) in enumerate(rows.items()):
        x, y = number % _COLUMNS * _WIDTH, number // _COLUMNS * _HEIGHT
        parts += [f'<g transform="translate({x},{y})">', *_panel(scenario, policies), "</g>"]
    return "\n".join([*parts, *_legend(height - 14), "</svg>", ""])


def _panel(scenario: str, policies: Mapping[str, Row]) -> list[str]:
    least = min(row["worker_hours"].value for row in policies.values())
    costs = {name: row["worker_hours"].value / least for name, row in policies.items()}
    lates = {name: row["late_percent"].value for name, row in policies.items()}
    most_cost, most_late = max(1.1, *costs.values()), max(1.0, *lates.values())
    right, bottom = _WIDTH - _LEFT - 14, _HEIGHT - _TOP - 26
    parts = [
        f'<text x="{_LEFT}" y="14" font-weight="bold">{escape(scenario)}</text>',
        f'<path d="M{_LEFT},{_TOP} v{bottom} h{right}" fill="none" stroke="#444"/>',
        f'<text x="{_LEFT - 4}" y="{_TOP + 6}" text-anchor="end">{most_late:.0f} %</text>',
        f'<text x="{_LEFT - 4}" y="{_TOP + bottom}" text-anchor="end">0</text>',
        f'<text x="{_LEFT}" y="{_TOP + bottom + 13}">{least:.1f} h</text>',
        f'<text x="{_LEFT + right}" y="{_TOP + bottom + 13}" text-anchor="end">'
        f"{least * most_cost:.1f} h</text>",
    ]
    # Ours last, so that it lies on top.
    for name in sorted(policies, key=lambda each: each == OURS):
        x = _LEFT + right * (costs[name] - 1) / (most_cost - 1)
        # Most differences are at small shares.
        y = _TOP + bottom * (1 - math.sqrt(lates[name] / most_late))
        parts.append(_mark(name, x, y))
    return parts


def _mark(name: str, x: float, y: float) -> str:
    title = f"<title>{escape(name)}</title>"
    if name == OURS:
        return f'<path d="M{x:.1f},{y - 6:.1f} l6,6 l-6,6 l-6,-6 z" fill="#d62728">{title}</path>'
    color = _COLORS[name.split(" ")[0].rstrip(",")]
    fill = color if name.endswith(", tuned") else "white"
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{color}">{title}</circle>'


def _legend(y: float) -> list[str]:
    parts = [_mark(OURS, 14, y - 3), f'<text x="24" y="{y}">{OURS}</text>']
    x = 94
    for name, color in _COLORS.items():
        parts += [
            f'<circle cx="{x}" cy="{y - 3}" r="4" fill="white" stroke="{color}"/>',
            f'<circle cx="{x + 11}" cy="{y - 3}" r="4" fill="{color}" stroke="{color}"/>',
            f'<text x="{x + 20}" y="{y}">{name}</text>',
        ]
        x += 80
    parts.append(
        f'<text x="{x + 10}" y="{y}">empty: as shipped, full: tuned; '
        "right: worker-hours, up: share late (root scale)</text>"
    )
    return parts
