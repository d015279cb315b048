"""Steps with their times, on a terminal or in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_WIDTH = 44


class Step:
    """One line that may be told what is happening now."""

    def __init__(self, title: str) -> None:
        self._title, self._began = title, time.monotonic()
        self._live = sys.stdout.isatty()
        self._result = "done"
        self.tell("")

    def tell(self, now: str) -> None:
        """Show it on the line while the step goes on; a log gets the result only."""
        if self._live:
            print(f"\r\033[K  {self._title:<{_WIDTH}} {now[:60]}", end="", flush=True)

    def note(self, result: str) -> None:
        """What to say at the end instead of `done`."""
        self._result = result

    def end(self, failure: str = "") -> None:
        """The line as it stays."""
        result = failure or self._result
        seconds = time.monotonic() - self._began
        start = "\r\033[K" if self._live else ""
        print(f"{start}  {self._title:<{_WIDTH}} {result:<18} {seconds:6.1f} s", flush=True)


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Prints the title, and at the end how long it took."""
    current = Step(title)
    try:
        yield current
    except BaseException as error:
        current.end("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    current.end()
