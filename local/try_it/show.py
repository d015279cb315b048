"""Printing the counts: over and over in place on a terminal, line after line elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from local.try_it.progress import Count

_HEADINGS = ("", "sent", "done", "waiting", "failed", "tasks run", "after")
_LINES_APART_SECONDS = 2.0


class Show:
    """Writes to ``out``; `live` may be called as often as you like."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._lines = 0
        self._said_at = 0.0

    def live(self, counts: Sequence[Count], now: float) -> None:
        """How it stands."""
        if self._out.isatty():
            self._rewrite(table(counts))
        elif now - self._said_at >= _LINES_APART_SECONDS:
            self._said_at = now
            print(_one_line(counts), file=self._out, flush=True)

    def result(self, counts: Sequence[Count]) -> None:
        """How it ended."""
        if self._out.isatty():
            self._rewrite(table(counts))
        else:
            print("\n".join(table(counts)), file=self._out, flush=True)

    def _rewrite(self, lines: Sequence[str]) -> None:
        up = f"\x1b[{self._lines}A" if self._lines else ""
        print(up + "\n".join(f"\x1b[2K{line}" for line in lines), file=self._out, flush=True)
        self._lines = len(lines)


def table(counts: Sequence[Count]) -> list[str]:
    """A line of headings and one for each kind, in columns."""
    rows = [_HEADINGS, *(_row(count) for count in counts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in range(1, len(row)))])
        for row in rows
    ]


def _row(count: Count) -> tuple[str, ...]:
    after = "" if count.seconds is None else f"{count.seconds:.1f} s"
    numbers = (count.sent, count.done, count.waiting, count.failed, count.tasks_run)
    return (count.kind, *(str(number) for number in numbers), after)


def _one_line(counts: Sequence[Count]) -> str:
    done, waiting, failed = (
        sum(getattr(count, name) for count in counts) for name in ("done", "waiting", "failed")
    )
    return f"done {done}, waiting {waiting}, failed {failed}"
