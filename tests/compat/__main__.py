"""``python -m tests.compat [CELL…] [--only PART]``: run the comparison, and write the table."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.compat import cells
from tests.compat.compare import Verdict, judge
from tests.compat.feature import CELLS, Cell, Feature, all_features
from tests.compat.table import RESULTS, read, write
from tests.support.ministack import MiniStack

BUILD = Path("build/compat")


def compare(cell: Cell, features: list[Feature], folder: Path, aws: MiniStack) -> dict[str, Verdict]:
    """What each feature is in the cell, by id. What is not as it should be is tried once more."""
    with cells.opened(cell, folder, aws) as running:
        verdicts: dict[str, Verdict] = {}
        wanted = features
        for _ in range(2):
            seen = running.observe(each.id for each in wanted)
            for each in wanted:
                verdicts[each.id] = judge(each, cell, seen["stock"][each.id], seen["fleet"][each.id])
            wanted = [each for each in wanted if verdicts[each.id].problem]
            if not wanted:
                break
    return verdicts


def main() -> int:
    """Run it; 1 if anything differs that nobody says why of, or is the same that has a reason."""
    parser = argparse.ArgumentParser(prog="python -m tests.compat", description=__doc__)
    parser.add_argument("cells", nargs="*", type=Cell.of, default=[], metavar="CELL")
    parser.add_argument(
        "--only", nargs="*", default=[""], metavar="TEXT", help="features whose id begins like that"
    )
    chosen = parser.parse_args()
    features = [each for each in all_features().values() if each.id.startswith(tuple(chosen.only))]
    found: dict[str, dict[str, Verdict]] = {}
    with TemporaryDirectory(prefix="compat-") as place:
        aws = MiniStack(Path(place))
        aws.start()
        try:
            for cell in chosen.cells or CELLS:
                began = time.monotonic()
                here = [each for each in features if cell in each.cells()]
                found[str(cell)] = compare(cell, here, (BUILD / str(cell)).absolute(), aws)
                count = Counter(verdict.says for verdict in found[str(cell)].values())
                print(f"{cell}: {dict(count)} in {time.monotonic() - began:.0f} s", flush=True)
                for each in here:
                    if problem := found[str(cell)][each.id].problem:
                        print(f"  {each.id} ({each.name}): {problem}", flush=True)
        finally:
            aws.stop()
    results = {cell: {key: verdict.says for key, verdict in known.items()} for cell, known in found.items()}
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD.parent / "compat.json").write_text(json.dumps(results, indent=1) + "\n")
    # What is as it should be is kept; the rest stays what it was until it is.
    merged = read()
    for cell, known in found.items():
        well = {key: verdict.says for key, verdict in known.items() if not verdict.problem}
        merged[cell] = {**merged.get(cell, {}), **well}
    write(merged)
    print(f"{RESULTS.name} written; `make docs` writes the page")
    return 1 if any(verdict.problem for known in found.values() for verdict in known.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
