"""Add what a fleet recorded to the table of calls."""

from __future__ import annotations

import sys
from pathlib import Path

from infra.checks.access import calls
from infra.chosen import LOCAL


def main(files: list[str]) -> int:
    """0 if nothing was new."""
    known = calls.read()
    seen = {calls.generalize(line, LOCAL) for file in files for line in Path(file).read_text().splitlines()}
    calls.write(known | seen)
    for call in sorted(seen - known):
        print(f"new: {call.caller} {call.action} {call.resource} {call.context}")
    return 1 if seen - known else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
