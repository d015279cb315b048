"""Three chapters of the comparison in one cell, as `make compat` does all of them in all."""

from __future__ import annotations

from pathlib import Path

from tests.compat.__main__ import compare
from tests.compat.feature import CELLS, all_features
from tests.support.ministack import MiniStack

CHAPTERS = ("tasks", "calling", "canvas")


def test_tasks_calls_and_canvas_are_what_the_table_says(aws: MiniStack, tmp_path: Path) -> None:
    cell = CELLS[0]
    features = [each for each in all_features().values() if each.section in CHAPTERS and cell in each.cells()]

    verdicts = compare(cell, features, tmp_path / "cell", aws)

    problems = {key: verdict.problem for key, verdict in verdicts.items() if verdict.problem}
    assert len(verdicts) > 150
    assert not problems, "\n".join(f"{key}: {problem}" for key, problem in problems.items())
