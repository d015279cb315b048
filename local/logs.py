"""``python -m local logs``: what the fleet's processes and containers write, as one stream."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from local.places import Places

_FIRST_LINES = 10  # of each file
_TAIL_BYTES = 64 * 1024
_LOOK_SECONDS = 0.3


def main(arguments: Sequence[str]) -> int:
    """Until interrupted. Exit code 1 if there is no log of that service."""
    parser = argparse.ArgumentParser(prog="python -m local logs", description=__doc__)
    parser.add_argument("service", nargs="?", default="", help="only those whose name contains this")
    parser.add_argument("--json", action="store_true", help="lines as they were written")
    parser.add_argument("--no-follow", action="store_true", help="the latest lines, and no more")
    chosen = parser.parse_args(arguments)
    logs = Places.from_environment().logs
    files = Files(logs, chosen.service)
    if not files.found():
        print(f"no service {chosen.service!r} has a log; there are: {', '.join(services(logs)) or 'none'}")
        return 1
    try:
        for service, line in files.lines(follow=not chosen.no_follow):
            print(line if chosen.json else readable(service, line), flush=True)
    except KeyboardInterrupt:
        print()
    except BrokenPipeError:  # `make logs | head`: Python would complain when it flushes the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def services(logs: Path) -> list[str]:
    """The names of all that have written a log."""
    return sorted({name_of(file, logs) for file in logs.rglob("*.log")})


def name_of(file: Path, logs: Path) -> str:
    """A process's log is named after it; a container's lies in the folder of its service."""
    return file.stem if file.parent == logs else file.parent.name


class Files:
    """The logs of the services whose names contain ``wanted``, those that appear later included."""

    def __init__(self, logs: Path, wanted: str) -> None:
        self._logs, self._wanted = logs, wanted
        self._offsets: dict[Path, int] = {}

    def found(self) -> list[Path]:
        """The files that there are now."""
        return [file for file in self._logs.rglob("*.log") if self._wanted in name_of(file, self._logs)]

    def lines(self, *, follow: bool) -> Iterator[tuple[str, str]]:
        """Service and line: the latest of each file in the order of their times, then what is written."""
        latest = [pair for file in self.found() for pair in self._new(file)[-_FIRST_LINES:]]
        yield from sorted(latest, key=lambda pair: moment(pair[1]))
        while follow:
            time.sleep(_LOOK_SECONDS)
            for file in self.found():
                yield from self._new(file)

    def _new(self, file: Path) -> list[tuple[str, str]]:
        """Whole lines since the last time; at first, of its last 64 KiB."""
        try:
            size = file.stat().st_size
            at = self._offsets.get(file, max(0, size - _TAIL_BYTES))
            with file.open("rb") as handle:
                handle.seek(at if at <= size else 0)  # it was shortened (`local.log_sizes`)
                text = handle.read()
        except FileNotFoundError:
            return []
        whole = text.rfind(b"\n") + 1
        self._offsets[file] = (at if at <= size else 0) + whole
        name = name_of(file, self._logs)
        return [(name, line) for line in text[:whole].decode(errors="replace").splitlines() if line.strip()]


def moment(line: str) -> str:
    """What sorts lines by time: that of a JSON line; others come first."""
    return str(_parsed(line).get("time", ""))


def readable(service: str, line: str) -> str:
    """Time, service, level, message and task of a JSON line; any other line as it is, after its service."""
    known = _parsed(line)
    if "message" not in known:
        return f"{service:<20} {line}"
    clock, level = str(known.get("time", ""))[11:23], str(known.get("level", ""))
    task = f"  [{known['task']} {known.get('task_id', '')}]" if known.get("task") else ""
    error = "".join(f"\n    {each}" for each in str(known.get("exception", "")).splitlines())
    return f"{service:<20} {clock} {level:<8} {known['message']}{task}{error}"


def _parsed(line: str) -> dict[str, object]:
    try:
        known = json.loads(line)
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}
