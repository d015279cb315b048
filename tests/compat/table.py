"""The results of the last comparison, as they are kept beside the code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.compat.feature import all_features

RESULTS = Path(__file__).with_name("results.json")


def read() -> dict[str, dict[str, str]]:
    """By cell, then by feature's id: `same`, `different` or `not available`."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def write(results: Mapping[str, Mapping[str, str]]) -> None:
    """Keep them, without features that there are no more."""
    known = all_features()
    kept = {
        cell: {
            key: says[key] for key, each in known.items() if key in says and cell in map(str, each.cells())
        }
        for cell, says in sorted(results.items())
    }
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
