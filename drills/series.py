"""Several drills, several times over: a line for each as it ends, and one table of all at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from drills.drill import Drill
from drills.fleet import Fleet
from drills.report import DIRECTORY, Report

SUMMED = ("submitted", "executed", "duplicates", "lost", "parked")
LONGEST = ("longest_publish_seconds", "longest_wait_seconds")
_COLUMNS = ("held", *SUMMED, *LONGEST)


@dataclass(frozen=True, kw_only=True)
class Row:
    """All runs of one drill: counts are sums, times the longest of any run (None: never measured)."""

    name: str
    runs: int
    held: int
    submitted: int
    executed: int
    duplicates: int
    lost: int
    parked: int
    longest_publish_seconds: float | None
    longest_wait_seconds: float | None


def run(fleet: Fleet, drills: Sequence[Drill], *, times: int, short: bool) -> bool:
    """All of them in turn, ``times`` times. True if every one held; it goes on after one that did not."""
    reports: list[Report] = []
    total = len(drills) * times
    for number, drill in enumerate((drill for _ in range(times) for drill in drills), start=1):
        began = time.monotonic()
        report = drill.run(fleet, short)
        report.write()
        reports.append(report)
        _keep(reports)
        verdict = "holds" if report.holds else "DOES NOT HOLD"
        print(f"[{number}/{total}] {drill.name}: {verdict}, {time.monotonic() - began:.0f} s", flush=True)
        if not report.holds:
            print(report.table(), flush=True)
    print(table(rows(reports)))
    print(f"kept in {_path()}")
    return all(report.holds for report in reports)


def rows(reports: Sequence[Report]) -> list[Row]:
    """One for each drill, in the order of their first run."""
    by_name: dict[str, list[Report]] = {}
    for report in reports:
        by_name.setdefault(report.name, []).append(report)
    return [_row(name, runs) for name, runs in by_name.items()]


def table(rows: Sequence[Row]) -> str:
    """For people."""
    lines = [("drill", *(column.removesuffix("_seconds").replace("_", " ") for column in _COLUMNS))]
    lines += [(row.name, f"{row.held} of {row.runs}", *_cells(row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines
    )


def _row(name: str, runs: Sequence[Report]) -> Row:
    counts = {figure: sum(_numbers(runs, figure)) for figure in SUMMED}
    return Row(
        name=name,
        runs=len(runs),
        held=sum(report.holds for report in runs),
        **{figure: int(count) for figure, count in counts.items()},
        longest_publish_seconds=max(_numbers(runs, LONGEST[0]), default=None),
        longest_wait_seconds=max(_numbers(runs, LONGEST[1]), default=None),
    )


def _numbers(runs: Sequence[Report], figure: str) -> Iterator[float]:
    values = (report.figures.get(figure) for report in runs)
    return (value for value in values if isinstance(value, int | float))


def _cells(row: Row) -> list[str]:
    counts = [str(getattr(row, figure)) for figure in SUMMED]
    times = [getattr(row, figure) for figure in LONGEST]
    return counts + ["none" if seconds is None else f"{seconds:.2f} s" for seconds in times]


def _keep(reports: Sequence[Report]) -> None:
    """After every run: what was measured stays, even if the series is ended."""
    each = [{"name": r.name, "holds": r.holds, **r.figures} for r in reports]
    content = {
        "name": "series",
        "holds": all(report.holds for report in reports),
        "drills": [asdict(row) for row in rows(reports)],
        "runs": each,
    }
    _path().write_text(json.dumps(content, indent=1) + "\n")


def _path() -> Path:
    return DIRECTORY / "series.json"
