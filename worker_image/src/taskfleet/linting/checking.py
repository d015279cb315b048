"""All rules over files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from taskfleet.contract.etas import FARTHEST_SECONDS
from taskfleet.contract.limits import CHAIN_MAX_MEMBERS
from taskfleet.linting import arguments, limits, names, reading, retries, transactions, waiting, workflows
from taskfleet.linting.finding import Finding
from taskfleet.linting.reading import Source

_SKIPPED = {"tests", "test", "migrations", "node_modules", "site-packages", "__pycache__", "build", "dist"}
# A file without any of these has nothing to say, and need not be parsed.
_HINTS = ("celery", ".delay", ".adelay", "apply_async", ".task")


@dataclass(frozen=True)
class Bounds:
    """What is too much: seconds of a countdown, members of a chain or a group."""

    longest_countdown: float = FARTHEST_SECONDS
    most_members: int = CHAIN_MAX_MEMBERS


def check(paths: Iterable[Path], bounds: Bounds | None = None) -> list[Finding]:
    """Of files, and of all Python files in folders but tests and migrations."""
    read = [each for path in paths for each in _read(path)]
    found = check_sources([each for each in read if isinstance(each, Source)], bounds or Bounds())
    return sorted([*found, *(each for each in read if isinstance(each, Finding))])


def check_sources(sources: list[Source], bounds: Bounds) -> list[Finding]:
    """What the rules say, in the order of files and lines."""
    found = [
        finding for source in sources for finding in _rules(source, bounds) if not source.ignores(finding)
    ]
    of_file = {source.file: source for source in sources}
    found += [each for each in names.check(sources) if not of_file[each.file].ignores(each)]
    return sorted(set(found))


def _rules(source: Source, bounds: Bounds) -> Iterator[Finding]:
    yield from retries.check(source)
    yield from limits.check(source, longest_countdown=bounds.longest_countdown)
    yield from waiting.check(source)
    yield from workflows.check(source, most=bounds.most_members)
    yield from arguments.check(source)
    yield from transactions.check(source)


def _read(path: Path) -> Iterator[Source | Finding]:
    for file in [path] if path.is_file() else sorted(_files(path)):
        if any(hint in file.read_text(encoding="utf-8", errors="replace") for hint in _HINTS):
            yield reading.read(file, os.path.relpath(file))


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _SKIPPED and not name.startswith(".")]
        for name in files:
            if (
                name.endswith(".py")
                and not name.startswith("test_")
                and name not in ("conftest.py", "tests.py")
            ):
                yield Path(place, name)
